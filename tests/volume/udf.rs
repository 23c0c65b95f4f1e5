//! UDF by genisoimage, which makes bridges, and by mkudffs, which makes empty volumes.

use wisp::filesystem::Kind;

use crate::seed::{Folder, holds_seed, open};

#[test]
fn a_bridge_is_read_as_udf() {
    let folder = Folder::with_seed("udf-bridge");
    let image = folder.text("volume");
    for options in ["-udf -r -J", "-udf -J", "-udf"] {
        folder.run(&format!("genisoimage -quiet {options} -V cidata -o {image} seed"));
        let volume = open(&image);
        holds_seed(&volume, Kind::Udf, &[]);
        assert_eq!(Some(volume.label().to_owned()), folder.blkid(&image, "LABEL"));
    }
}
