//! nginx as a plain reverse proxy: what a proxy costs that looks at nothing.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::Command;

use crate::disk::Place;
use crate::failure::Failure;
use crate::machine::Cores;
use crate::process::{Server, free_address};
use crate::stop::Stop;

/// A running nginx.
#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) server: Server,
}

impl Nginx {
    /// Starts it before `upstream`; says how to install it if it is missing.
    pub(crate) fn start_if_there(
        upstream: SocketAddr,
        place: &Place,
        cores: &Cores,
        stop: &Stop,
    ) -> Result<Option<Self>, Failure> {
        let dir = place.dir("nginx")?;
        let address = free_address()?;
        let failed = || Failure::io("cannot set nginx up");
        for temporary in ["body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            fs::create_dir_all(dir.join(temporary)).map_err(failed())?;
        }
        let config = dir.join("nginx.conf");
        fs::write(
            &config,
            CONFIG
                .replace("DIR", &dir.to_string_lossy())
                .replace("LISTEN", &address.to_string())
                .replace("UPSTREAM", &upstream.to_string()),
        )
        .map_err(failed())?;
        let Some(program) = program() else {
            eprintln!(
                "nginx is not installed, so there is nothing to compare with: apt-get install -y nginx-light"
            );
            return Ok(None);
        };
        let mut command = Command::new(program);
        command.arg("-p").arg(&dir).arg("-c").arg(&config).arg("-e").arg(dir.join("error.log"));
        let mut server = Server::spawn("nginx", command, (address, dir.join("stderr.log")), cores)?;
        server.answering(stop)?;
        Ok(Some(Self { server }))
    }
}

/// Its name and version, if it is installed.
pub(crate) fn version() -> Option<String> {
    let output = Command::new(program()?).arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Some(text.strip_prefix("nginx version: ").map_or(text.clone(), str::to_owned))
}

/// Debian puts it where a user's PATH does not look.
fn program() -> Option<&'static str> {
    ["nginx", "/usr/sbin/nginx"].into_iter().find(|program| {
        let tried = Command::new(program).arg("-v").output();
        !tried.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    })
}

/// One worker; connections are kept on both sides; nothing is logged; a request is read whole before it is
/// passed on, as the guard has to; an answer is passed on as it comes.
const CONFIG: &str = r#"daemon off;
worker_processes 1;
pid "DIR/nginx.pid";
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path "DIR/body";
    proxy_temp_path "DIR/proxy";
    fastcgi_temp_path "DIR/fastcgi";
    uwsgi_temp_path "DIR/uwsgi";
    scgi_temp_path "DIR/scgi";
    client_body_buffer_size 1m;
    keepalive_requests 1000000000;
    upstream model {
        server UPSTREAM;
        keepalive 1024;
        keepalive_requests 1000000000;
    }
    server {
        listen LISTEN;
        location / {
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering on;
            proxy_buffering off;
        }
    }
}
"#;
