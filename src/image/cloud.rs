//! The clouds that images are packed for: what each is called.
#![forbid(unsafe_code)]

/// Where an image is to be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon EC2.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Compute Engine.
    Gcp,
    /// Oracle Cloud Infrastructure.
    Oci,
    /// A hypervisor that gives a seed, or nothing at all: libvirt, Proxmox, OpenStack.
    NoCloud,
}

impl Cloud {
    /// All of them, by the words that the user says.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Aws, "aws"),
        (Self::Azure, "azure"),
        (Self::Gcp, "gcp"),
        (Self::Oci, "oci"),
        (Self::NoCloud, "nocloud"),
    ];

    /// The one that is called so.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == word).map(|(cloud, _)| *cloud)
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(cloud, _)| *cloud == self).map_or("", |(_, name)| name)
    }
}
