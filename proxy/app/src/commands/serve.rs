//! `portcullis serve`

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::args::ServeArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::server::Server;

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let config = Config::load(args)?;
    runtime()?.block_on(async {
        let stop = stop_signal()?;
        let (policy, audit_dir) = (config.policy.label().to_owned(), config.audit_dir.clone());
        let traces = config.traces.export.as_ref().map(|export| export.endpoint.clone());
        let server = Server::start(config).await?;
        let address = server.address()?;
        let classifiers = server.classifiers();
        if let Some(export) = traces {
            tracing::info!(collector = export, "traces");
        }
        if let Some(ext_proc) = server.ext_proc_address()? {
            tracing::info!(%ext_proc, "an Envoy may ask");
        }
        if let Some(admin) = server.admin_address()? {
            tracing::info!(%admin, "metrics and health");
        }
        if let Some(console) = server.console_url()? {
            tracing::info!(%console, "review page");
        }
        tracing::info!(%address, %policy, %classifiers, audit_dir = %audit_dir.display(), "guarding");
        server.run(stop).await?;
        tracing::info!("stopped; the audit log is sealed");
        Ok(ExitCode::SUCCESS)
    })
}

/// The runtime that commands run on.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::environment("the runtime cannot be started", &error))
}

/// Ends when the process is asked to stop. The handlers are in place when this returns.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| {
        signal(kind).map_err(|error| Failure::environment("signals cannot be handled", &error))
    };
    let (mut terminate, mut interrupt) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
