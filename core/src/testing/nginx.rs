//! nginx in front of an application, with the configuration that this library writes for it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{
    Authority, Error, Leaf, ProxyOptions, ProxyServer, lab_failed, lock, proxy_config,
    write_private,
};

/// How long nginx may take until it accepts connections.
const START: Duration = Duration::from_secs(20);

/// How often another port is tried, if another program has taken one that was free.
const ATTEMPTS: usize = 5;

/// nginx that ends mutual TLS in front of an application, on 127.0.0.1. It requires a client certificate
/// of its lab's CA and forwards it in the dialect `nginx`. Made by [`Lab::nginx`](super::Lab::nginx).
///
/// It runs until its lab is dropped.
#[derive(Clone, Debug)]
pub struct Nginx(Arc<Running>);

#[derive(Debug)]
struct Running {
    url: String,
    pin: String,
    /// `None` once it has ended.
    child: Mutex<Option<Child>>,
    _folder: Folder,
    process: u32,
}

impl Nginx {
    /// Returns the URL, `https://127.0.0.1:<port>/`. The application gets requests for every path.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Returns the pin of its certificate.
    pub fn pin(&self) -> &str {
        &self.0.pin
    }

    /// Ends it. Ends no process if it was called in a fork of the process that started it.
    pub fn close(&self) {
        self.0.close();
    }

    pub(super) fn start(authority: &Authority, application: &str) -> Result<Self, Error> {
        let program = program()?;
        let issued = authority.issue(Leaf::server("nginx"))?;
        let folder = Folder::new().map_err(|cause| lab_failed("make a folder for nginx", cause))?;
        let file = |name: &str| folder.0.join(name);
        let written = fs::write(file("server.crt"), &issued.chain_pem)
            .and_then(|()| fs::write(file("clients-ca.pem"), authority.root_pem()))
            .and_then(|()| write_private(&file("server.key"), &issued.key_pem));
        written.map_err(|cause| lab_failed("write the files of nginx", cause))?;
        for _ in 0..ATTEMPTS {
            let address = free_address().map_err(|cause| lab_failed("find a port", cause))?;
            let text = config(&folder.0, address, application)?;
            let mut child = spawn(&program, &folder.0, &text)
                .map_err(|cause| lab_failed("start nginx", cause))?;
            if accepts(&mut child, address) {
                return Ok(Self(Arc::new(Running {
                    url: format!("https://{address}/"),
                    pin: issued.pin,
                    child: Mutex::new(Some(child)),
                    _folder: folder,
                    process: process::id(),
                })));
            }
            end(&mut child);
        }
        let said = fs::read_to_string(file("said")).unwrap_or_default();
        Err(lab_failed("start nginx", said.lines().last().unwrap_or("it said nothing")))
    }
}

impl Running {
    fn close(&self) {
        if self.process == process::id()
            && let Some(mut child) = lock(&self.child).take()
        {
            end(&mut child);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close();
    }
}

/// nginx is one process, so nothing of it remains.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// A private folder, which is removed with its content.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("webhook-mtls-nginx-{}-{number}", process::id());
            let path = std::env::temp_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                // Left behind by a process that was killed.
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
                Err(fault) => return Err(fault),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Finds the program on `PATH`, or where Debian installs it.
fn program() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join("nginx"))
        .find(|file| file.is_file());
    found.ok_or_else(|| {
        let why =
            "it is neither on PATH nor in /usr/sbin. Install it, on Debian the package nginx-light";
        lab_failed("start nginx", why)
    })
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

fn config(folder: &Path, address: SocketAddr, application: &str) -> Result<String, Error> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let options = ProxyOptions::new("localhost", application)?
        .listen(&address.to_string())?
        .certificate(&path("server.crt"), &path("server.key"))?
        .client_ca(&path("clients-ca.pem"))?;
    let server = proxy_config(ProxyServer::Nginx, &options)?;
    let home = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {home}/{name};\n"))
        .concat();
    Ok(format!(
        "daemon off;\nmaster_process off;\npid {home}/pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n    access_log off;\n{temporary}{server}}}\n"
    ))
}

fn spawn(program: &Path, folder: &Path, config: &str) -> io::Result<Child> {
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    let said = File::create(folder.join("said"))?;
    Command::new(program)
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said)
        .spawn()
}

/// Waits until a TCP connection succeeds. Returns `false` if the process ends, or if it takes too long.
fn accepts(child: &mut Child, address: SocketAddr) -> bool {
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return false;
        }
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}
