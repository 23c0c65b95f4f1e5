//! What stands in the files afterwards, and what a power cut leaves.

use super::*;
use crate::error::Kind;
use crate::sys::dir::FileType;

const PASSWORDS: &str = "root:x:0:0:root:/root:/bin/ash\n# a word\nnobody:x:65534:65534::/:/sbin/nologin\n+::::::";
const GROUP: &str = "root:x:0:root\nwheel:x:10:root\nnobody:x:65534:\n";
const GSHADOW: &str = "root:*::\n";
const SHADOW: &str = "root:*::0:::::\nnobody:!::0:::::";
/// 2026-11-21.
const NOW: u64 = 20_778 * DAY;

fn of(tables: &[(&'static str, &str)]) -> Tables {
    let facts = FileStatus { number: 0, file_type: FileType::File, mode: 0o644, owner: Owner::ROOT, changed: 0 };
    let table = |(name, text): &(&'static str, &str)| Table { name, text: Vec::from(*text), facts, is_changed: false };
    Tables(tables.iter().map(table).collect())
}

fn tables() -> Tables {
    of(&[("group", GROUP), ("gshadow", GSHADOW), ("shadow", SHADOW), ("passwd", PASSWORDS)])
}

fn text<'a>(tables: &'a Tables, name: &str) -> &'a str {
    core::str::from_utf8(tables.text(name)).unwrap()
}

fn numbers(defaults: &str, passwd: &str, group: &str, wanted: &Wanted<'_>) -> Result<(u32, u32)> {
    let mut tables = of(&[("group", group), ("passwd", passwd)]);
    add(&mut tables, wanted, defaults.as_bytes(), NOW).map(|account| (account.owner.uid, account.owner.gid))
}

#[test]
fn an_account_is_a_line_in_each_file() {
    let mut tables = tables();
    let wanted = Wanted { name: "ann", groups: &["wheel", "docker"], ..Wanted::default() };
    let account = add(&mut tables, &wanted, b"", NOW).unwrap();
    assert_eq!(
        account,
        Account { name: "ann".into(), owner: Owner { uid: 1000, gid: 1000 }, home: "/home/ann".into() }
    );
    assert_eq!(
        text(&tables, "group"),
        format!("{}ann:x:1000:\ndocker:x:101:ann\n", GROUP.replace("10:root", "10:root,ann"))
    );
    assert_eq!(text(&tables, "gshadow"), "root:*::\nann:!::\nwheel:!::ann\ndocker:!::ann\n");
    assert_eq!(text(&tables, "shadow"), format!("{SHADOW}\nann:*:20778:0:99999:7:::\n"));
    let line = "ann:x:1000:1000::/home/ann:/bin/sh\n";
    assert_eq!(
        text(&tables, "passwd"),
        PASSWORDS.replace("+:", &format!("{line}+:")),
        "before the names from elsewhere"
    );
}

#[test]
fn everything_can_be_said_and_a_clock_that_is_not_set_says_no_day() {
    let mut tables = tables();
    let wanted = Wanted {
        name: "svc",
        gecos: "A Service,,,",
        shell: "/sbin/nologin",
        home: "/srv",
        group: "wheel",
        is_system: true,
        ..Wanted::default()
    };
    add(&mut tables, &wanted, b"", 12_345).unwrap();
    assert_eq!(text(&tables, "group"), GROUP);
    assert_eq!(text(&tables, "shadow"), format!("{SHADOW}\nsvc:*::0:99999:7:::\n"));
    assert!(text(&tables, "passwd").contains("\nsvc:x:101:10:A Service,,,:/srv:/sbin/nologin\n+"));
    tables.0.retain(|table| table.name != "shadow");
    add(&mut tables, &Wanted { name: "ann", ..Wanted::default() }, b"", NOW).unwrap();
    assert!(text(&tables, "passwd").contains("\nann:*:1000:1000:"), "without shadow the password stands in passwd");
}

#[test]
fn numbers_are_the_first_free_ones_and_those_of_login_defs() {
    let ann = Wanted { name: "ann", ..Wanted::default() };
    let system = Wanted { is_system: true, ..ann };
    assert_eq!(numbers("", "a:x:1000:5::/:\n", "g:x:1001:\n", &ann).unwrap(), (1002, 1002));
    assert_eq!(numbers("", "a:x:1000:5::/:\n", "ann:x:1000:\n", &ann).unwrap(), (1001, 1000), "the group is there");
    assert_eq!(numbers("", "a:x:1:5::/:\n", "ann:x:1007:\n", &ann).unwrap(), (1007, 1007), "as a cut left it");
    assert_eq!(numbers("", "", "", &system).unwrap(), (101, 101));
    let defaults =
        "# UID_MIN 1\nUID_MIN\t\t 500\nUID_MAX 501\nGID_MIN 500\nGID_MAX 60000\nSYS_GID_MIN 7\nSYS_UID_MIN 7\n";
    assert_eq!(numbers(defaults, "", "", &ann).unwrap(), (500, 500));
    assert_eq!(numbers(defaults, "", "", &system).unwrap(), (7, 7));
    let full = "a:x:500:1::/:\nb:x:501:1::/:\n";
    assert_eq!(numbers(defaults, full, "", &ann).unwrap_err().kind, Kind::Refused);
    assert_eq!(numbers("UID_MIN 4294967295\nGID_MIN 4294967295", "", "", &ann).unwrap_err().kind, Kind::Refused);
    assert_eq!(numbers("", "", "ann:x:none:\n", &ann).unwrap_err().kind, Kind::Corrupt);
}

#[test]
fn what_cannot_stand_between_colons_is_refused() {
    let ann = Wanted { name: "ann", ..Wanted::default() };
    check(&Wanted { gecos: "Änn, 1st floor", shell: "/bin/sh", home: "/srv/ann", ..ann }).unwrap();
    for wanted in [
        Wanted { name: "a:b", ..ann },
        Wanted { name: "", ..ann },
        Wanted { name: "-ann", ..ann },
        Wanted { name: "an\n", ..ann },
        Wanted { name: "..", ..ann },
        Wanted { group: "a,b", ..ann },
        Wanted { groups: &["wheel", "x y"], ..ann },
        Wanted { gecos: "a:b", ..ann },
        Wanted { gecos: "a\nroot::0:0::/:/bin/sh", ..ann },
        Wanted { shell: "sh", ..ann },
        Wanted { home: "home", ..ann },
        Wanted { home: "/home/../etc", ..ann },
        Wanted { home: "/home/..", ..ann },
    ] {
        assert_eq!(check(&wanted).unwrap_err().kind, Kind::Usage, "{wanted:?}");
    }
}

#[test]
fn homes_have_the_mode_that_useradd_gives_them() {
    for (defaults, mode) in
        [("", 0o755), ("HOME_MODE 0700\nUMASK 022\n", 0o700), ("UMASK 027", 0o750), ("UMASK x", 0o755)]
    {
        assert_eq!(home_mode(defaults.as_bytes()), mode, "{defaults}");
    }
}

#[test]
fn after_a_cut_at_any_write_there_is_no_half_account_and_another_run_completes_it() {
    let wanted = Wanted { name: "ann", groups: &["wheel"], ..Wanted::default() };
    let base = std::env::temp_dir().join(format!("wisp-create-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&base);
    let root = |name: &str| {
        let root = base.join(name);
        std::fs::create_dir_all(root.join("etc/skel")).unwrap();
        std::fs::write(root.join("etc/skel/.profile"), "hello").unwrap();
        for table in tables().0 {
            std::fs::write(root.join("etc").join(table.name), table.text).unwrap();
        }
        String::from(root.to_str().unwrap())
    };
    let content = |root: &str| TABLES.map(|name| std::fs::read_to_string(format!("{root}/etc/{name}")).unwrap());
    let whole = root("whole");
    let account = create(&whole, &wanted).unwrap();
    for writes in 0..=TABLES.len() {
        let root = root(&format!("{writes}"));
        let mut tables = tables();
        add(&mut tables, &wanted, b"", clock::wall().as_secs()).unwrap();
        for table in tables.0.iter().take(writes) {
            std::fs::write(format!("{root}/etc/{}", table.name), &table.text).unwrap();
        }
        std::fs::write(format!("{root}/etc/.shadow.wisp"), "cut off").unwrap();
        if writes == TABLES.len() - 1 {
            // While the home was filled, which comes before passwd.
            std::fs::create_dir_all(format!("{root}/home/ann")).unwrap();
            let unfinished = std::os::unix::fs::PermissionsExt::from_mode(crate::sys::dir::UNFINISHED);
            std::fs::set_permissions(format!("{root}/home/ann"), unfinished).unwrap();
        }
        assert_eq!(super::super::find(&root, "ann").unwrap().is_some(), writes == TABLES.len());
        assert_eq!(create(&root, &wanted).unwrap(), account);
        assert_eq!(content(&root), content(&whole), "after {writes} writes");
        home::make_home(&root, &account).unwrap();
        assert_eq!(std::fs::read_to_string(format!("{root}/home/ann/.profile")).unwrap(), "hello");
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(format!("{root}/home/ann")).unwrap());
        assert_eq!(mode & 0o7777, 0o755);
        assert_eq!(create(&root, &wanted).unwrap(), account, "and once more");
    }
    std::fs::remove_dir_all(base).unwrap();
}
