//! Makes the packages of this platform, installs each in an empty folder and tests
//! the installation.

use crate::command::Result;
use crate::languages::Languages;
use crate::packages;

/// Makes and proves the packages of all languages; returns the closing line.
pub(crate) fn test(languages: &Languages) -> Result<String> {
    let mut passed = 0;
    for language in &packages::LANGUAGES {
        passed += packages::prove(language, languages)?;
    }
    packages::write_checksums()?;
    Ok(format!("{passed} passed, 0 failed"))
}
