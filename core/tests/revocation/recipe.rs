//! The recipe that fetches CRLs with cron: `examples/fetch_crls.sh`, run against a web server of ours.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use webhook_mtls::verify::CrlPolicy;
use webhook_mtls::{DeliverOptions, Dispatcher, EndpointOptions, Kind, Trust};

use super::{CONSUMER, Ca, Clock, DAY, HOUR, MINUTE, Scene, wait};

/// The files of a web server by their paths.
type Pages = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// Serves the pages until the process ends. Returns the base URL.
fn serve(pages: Pages) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&tcp).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let path = request.split(' ').nth(1).unwrap_or_default();
            let page = pages.lock().unwrap().get(path).cloned();
            let (status, body) = page.map_or(("404 Not Found", vec![]), |page| ("200 OK", page));
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            // The client may have gone.
            let _ = (&tcp).write_all(&[head.as_bytes(), &body].concat());
        }
    });
    base
}

/// The files of a producer, and the server of its CA.
struct Recipe {
    folder: PathBuf,
    pages: Pages,
    base: String,
}

impl Recipe {
    fn new(root: &Ca) -> Self {
        let pages = Pages::default();
        let base = serve(pages.clone());
        let port = base.rsplit(':').next().unwrap();
        let folder = std::env::temp_dir().join(format!("recipe-{}-{port}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("ca.pem"), &root.root_pem).unwrap();
        Self { folder, pages, base }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn publish(&self, path: &str, crl: impl Into<Vec<u8>>) {
        self.pages.lock().unwrap().insert(path.to_owned(), crl.into());
    }

    /// Runs the script with these pages. Returns its error text if it fails.
    fn run(&self, pages: &[&str]) -> Result<(), String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/fetch_crls.sh");
        let output = Command::new("sh")
            .arg(script)
            .args([self.path("ca.pem"), self.path("crl.pem")])
            .args(pages.iter().map(|page| format!("{}{page}", self.base)))
            .env("NO_PROXY", "*")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let left: Vec<_> = std::fs::read_dir(self.path("crl.pem.d"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_dir())
            .collect();
        assert!(left.is_empty(), "the script leaves {left:?}");
        if output.status.success() { Ok(()) } else { Err(text) }
    }

    fn crls(&self) -> String {
        std::fs::read_to_string(self.path("crl.pem")).unwrap()
    }
}

impl Drop for Recipe {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[test]
fn the_recipe_swaps_in_crls_that_a_dispatcher_then_uses() {
    let _clock = Clock::take();
    let now = SystemTime::now();
    let root = Ca::root();
    let recipe = Recipe::new(&root);
    recipe.publish("/a.crl", root.crl(1, now - HOUR, now + DAY, &[]));
    recipe.run(&["/a.crl"]).unwrap();

    let trust = Trust::from_files(recipe.path("ca.pem"), None, Some(&recipe.path("crl.pem")));
    let scene = Scene::new(&root, &root, root.trust(&[]), root.identity());
    let options = scene.lab.dispatcher_options().identity(root.identity());
    let options = options.trust(trust.unwrap()).crl_policy(CrlPolicy::Require);
    let dispatcher = Dispatcher::new(options).unwrap();
    let endpoint = dispatcher.endpoint("acme", &scene.url, EndpointOptions::new(None)).unwrap();
    let deliver = || wait(dispatcher.deliver(&endpoint, "{}", DeliverOptions::new()));
    assert_eq!(deliver().unwrap().status(), 200);

    recipe.publish("/a.crl", root.crl(2, now - MINUTE, now + DAY, &[CONSUMER]));
    recipe.run(&["/a.crl"]).unwrap();
    assert!(!wait(dispatcher.reload()).unwrap().is_empty());
    assert_eq!(deliver().unwrap_err().kind(), Kind::CertificateRevoked);
}

#[test]
fn the_recipe_keeps_the_former_crls_if_one_is_unfit() {
    let _clock = Clock::take();
    let now = SystemTime::now();
    let root = Ca::root();
    let recipe = Recipe::new(&root);
    let crl = |this, next| root.crl(7, this, next, &[CONSUMER]);
    recipe.publish("/a.crl", crl(now - HOUR, now + DAY));
    recipe.run(&["/a.crl"]).unwrap();
    let former = recipe.crls();
    for (unfit, why) in [
        (crl(now - 2 * HOUR, now + DAY), "is older than the one in use"),
        (crl(now - MINUTE, now - MINUTE / 2), "has expired"),
        (Ca::root().crl(9, now - MINUTE, now + DAY, &[]), "has signed the CRL"),
        ("<html>maintenance</html>".to_owned(), "no CRL at"),
    ] {
        recipe.publish("/a.crl", unfit);
        let error = recipe.run(&["/a.crl"]).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
        assert_eq!(recipe.crls(), former, "{why}");
    }
    let error = recipe.run(&["/missing.crl"]).unwrap_err();
    assert!(error.contains("cannot fetch"), "{error}");
    // One that is missing keeps the other from being used.
    recipe.publish("/a.crl", crl(now - MINUTE, now + DAY));
    assert!(recipe.run(&["/a.crl", "/missing.crl"]).is_err());
    assert_eq!(recipe.crls(), former);
    recipe.run(&["/a.crl"]).unwrap();
    assert_ne!(recipe.crls(), former);
}

/// CAs usually publish DER. The bundle has a CA of the same name whose key signed none.
#[test]
fn the_recipe_takes_der_and_several_crls() {
    let _clock = Clock::take();
    let now = SystemTime::now();
    let (root, former) = (Ca::root(), Ca::root());
    let recipe = Recipe::new(&root);
    let bundle = [&*former.root_pem, "-----\n", &*root.root_pem].concat();
    std::fs::write(recipe.path("ca.pem"), bundle.replace("-----\n-----\n", "-----\n")).unwrap();
    let pem = root.crl(1, now - HOUR, now + DAY, &[]);
    let der = {
        use rustls::pki_types::pem::PemObject as _;
        rustls::pki_types::CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap()
    };
    recipe.publish("/a.crl", der.to_vec());
    recipe.publish("/b.crl", former.crl(1, now - HOUR, now + DAY, &[3]));
    recipe.run(&["/a.crl", "/b.crl"]).unwrap();
    assert_eq!(recipe.crls().matches("BEGIN X509 CRL").count(), 2);
    let trust = Trust::from_files(recipe.path("ca.pem"), None, Some(&recipe.path("crl.pem")));
    assert!(trust.unwrap().notes().is_empty());
}
