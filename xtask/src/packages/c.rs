//! The C library: an archive with the headers, the static and the shared library.

use crate::command::{Failure, Result};
use crate::languages::c_library::Flavour;
use crate::packages::{Crates, HOST, Order, Room, archive, no_private_paths, strip};
use crate::paths;

pub(crate) fn make(order: &Order) -> Result {
    let library = order.languages.c()?;
    let name = format!("webhook-mtls-{}-{HOST}", order.version);
    let tree = paths::target().join("c").join("package").join(&name);
    paths::make_empty(&tree)?;
    paths::copy_tree(&library.include(), &tree.join("include"), &["webhook_mtls_testing.h"])?;
    for file in [library.archive(Flavour::Production), library.shared(Flavour::Production)] {
        let to = tree.join("lib").join(file.file_name().unwrap_or_default());
        paths::copy(&file, &to)?;
        if to.extension().is_some_and(|extension| extension == "so") {
            strip(&to)?;
        }
        no_private_paths(&to)?;
    }
    let purl = format!("pkg:generic/webhook-mtls@{}", order.version);
    Crates::of("webhook-mtls-ffi", HOST)?.write_all(&purl, &tree)?;
    archive(&tree, &order.place.join(format!("{name}.tar.gz")))
}

pub(crate) fn prove(order: &Order) -> Result<u32> {
    let room = Room::new("c", &["readelf"])?;
    let packed = paths::files_with_extension(&order.place, "gz")?;
    let packed = packed.first().ok_or_else(|| Failure::new("the C package was not made"))?;
    room.step("unpack", "tar").args(["-xf"]).arg(packed).run()?;
    Ok(1)
}

#[expect(clippy::unnecessary_wraps, reason = "the languages share one signature")]
pub(crate) fn prove_slowly(_order: &Order) -> Result<Vec<String>> {
    Ok(Vec::new())
}
