//! Cargo profiles.

/// The profile of one run. A run uses one profile, so that cargo compiles each dependency once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Profile {
    /// Compiles fast: the demo and the tests.
    Dev,
    /// Optimized: the fuzz targets.
    Release,
    /// The profile of users: instruction counts, benchmarks and packages.
    Shipped,
}

impl Profile {
    /// The profile's name in cargo and maturin.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Dev => "dev",
            Profile::Release => "release",
            Profile::Shipped => "shipped",
        }
    }

    /// The profile's directory below the target directory.
    pub(crate) fn directory(self) -> &'static str {
        match self {
            Profile::Dev => "debug",
            other => other.name(),
        }
    }
}
