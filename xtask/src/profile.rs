//! How the crates are compiled.

/// One profile for all that one run needs, so that cargo compiles each dependency once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Profile {
    /// Compiles fast: the demo and the tests.
    Dev,
    /// Optimized: the fuzz targets.
    Release,
    /// What users get: instruction counts, benchmarks and packages.
    Shipped,
}

impl Profile {
    /// The name that cargo and maturin know.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Dev => "dev",
            Profile::Release => "release",
            Profile::Shipped => "shipped",
        }
    }

    /// The directory below the target directory.
    pub(crate) fn directory(self) -> &'static str {
        match self {
            Profile::Dev => "debug",
            other => other.name(),
        }
    }
}
