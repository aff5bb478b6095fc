//! Servers of Git on loopback, ended with the test in whatever way that ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{World, ok};

/// A server. It is ended when this goes, or by `timeout` where the test was killed.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// A port that nobody listens on.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(port: u16, words: &[&str]) -> Server {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "120"]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let mut server = Server { child: command.spawn().unwrap(), port };
    let begin = Instant::now();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    while TcpStream::connect(address).is_err() {
        if begin.elapsed() > Duration::from_secs(20) || server.child.try_wait().unwrap().is_some() {
            let mut said = String::new();
            server.child.kill().ok();
            server.child.stderr.take().unwrap().read_to_string(&mut said).ok();
            panic!("{words:?} does not answer: {said}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    server
}

/// `git daemon`: neither encrypted nor authenticated. The repository is at `/remote.git`.
pub fn git_daemon(world: &World) -> Server {
    let port = port();
    let base = format!("--base-path={}", world.path("").display());
    let port_word = format!("--port={port}");
    let words = ["git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", &port_word, &base];
    start(port, &words)
}

/// A server of ssh that lets alice in as this user. Its key is `host`, and its port stands in `known_hosts`.
pub fn sshd(world: &World) -> Server {
    let port = port();
    let path = |name: &str| world.path(name).display().to_string();
    world.repository.make_key("host").unwrap();
    std::fs::copy(path("alice.pub"), path("authorized_keys")).unwrap();
    // As root it will not start without the folder that its unit makes.
    std::fs::create_dir_all("/run/sshd").ok();
    let config = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nPidFile none\nPermitRootLogin prohibit-password\n",
        path("host"),
        path("authorized_keys")
    );
    std::fs::write(path("sshd_config"), config).unwrap();
    let server = start(port, &["/usr/sbin/sshd", "-D", "-e", "-f", &path("sshd_config")]);
    std::fs::write(path("known_hosts"), format!("[127.0.0.1]:{port} {}\n", world.public_key("host")))
        .unwrap();
    server
}

/// A server of https with a certificate of its own authority, `ca.pem`. The repository is at `/remote.git`. Only who
/// says that it is alice with the password `secret` is answered.
pub fn https(world: &World) -> Server {
    let path = |name: &str| world.path(name).display().to_string();
    let certificate = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 \
                       -addext subjectAltName=IP:127.0.0.1";
    let mut openssl = Command::new("openssl");
    ok(openssl.args(certificate.split_whitespace()).args([
        "-keyout",
        &path("tls.key"),
        "-out",
        &path("ca.pem"),
    ]));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let behind = listener.local_addr().unwrap();
    let folder = world.path("");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks off is the other end's business.
            drop(answer(stream, &folder));
        }
    });
    let port = port();
    let config = format!(
        "daemon off; error_log stderr; pid {0}/nginx.pid; user root; events {{}}\nhttp {{ access_log off; \
         client_body_temp_path {0}/body; server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {0}/ca.pem; \
         ssl_certificate_key {0}/tls.key; location / {{ proxy_pass http://{behind}; }} }} }}\n",
        path("")
    );
    std::fs::write(path("nginx.conf"), config).unwrap();
    start(port, &["nginx", "-c", &path("nginx.conf")])
}

/// Answers one request of HTTP/1.0 by Git's own program behind a server: git-http-backend(1).
fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let of = |line: &String| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        };
        lines.iter().find_map(of).unwrap_or_default()
    };
    // `printf alice:secret | base64`
    if header("Authorization") != "Basic YWxpY2U6c2VjcmV0" {
        return stream.write_all(b"HTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm=\"git\"\r\n\r\n");
    }
    let mut request = lines[0].split(' ');
    let (method, target) = (request.next().unwrap_or_default(), request.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method)
        .env("CONTENT_TYPE", header("Content-Type"))
        .env("CONTENT_LENGTH", header("Content-Length"))
        .env("HTTP_CONTENT_ENCODING", header("Content-Encoding"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut body = vec![0; header("Content-Length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    backend.stdin.take().unwrap().write_all(&body)?;
    let said = backend.wait_with_output()?.stdout;
    stream.write_all(b"HTTP/1.0 200 OK\r\n")?;
    stream.write_all(&said)
}
