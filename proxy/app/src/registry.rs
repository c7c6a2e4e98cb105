//! Which classifiers run: the only file that names them.

use classifiers_batching::{InProcess, VerdictCacheLayer};
use classifiers_core::{Backend, BoxClassify, TestTriggers};
use classifiers_starter::Starter;
use policies::{ClassifierCalibration, library};
use proxy_stack::{Check, Panel};
use tower::Layer;

use crate::failure::Failure;

/// Verdicts that are remembered for each classifier: about 1 KB each.
const REMEMBERED_VERDICTS: usize = 8192;

/// The classifiers that come with the program.
pub(crate) fn panel() -> Result<Panel, Failure> {
    let starter = Starter::embedded()
        .map_err(|error| Failure::environment("the embedded classifier cannot be used", &error))?;
    let id = starter.id().clone();
    let cached = VerdictCacheLayer::new(REMEMBERED_VERDICTS).layer(InProcess::new(starter));
    let triggers = TestTriggers::new();
    let triggers_id = triggers.id().clone();
    let starter = Check::new(id, BoxClassify::new(cached));
    // Not cached: finding a string is faster than looking it up.
    let triggers = Check::new(triggers_id, BoxClassify::new(InProcess::new(triggers)));
    if cfg!(feature = "unjudged") {
        tracing::warn!("this build is for benchmarks: nothing but test triggers is judged");
        return Ok(Panel::new([triggers]));
    }
    Ok(Panel::new([starter, triggers]))
}

/// The shipped calibrations of exactly these classifiers; for another revision one says nothing.
pub(crate) fn calibrations(panel: &Panel) -> Result<Vec<ClassifierCalibration>, Failure> {
    let read = library::CALIBRATIONS.into_iter().map(|(file, source)| {
        ClassifierCalibration::parse(source, file).map_err(|diagnostics| {
            Failure::Environment(format!("a calibration cannot be used\n\n{diagnostics}"))
        })
    });
    let mut calibrations = read.collect::<Result<Vec<_>, _>>()?;
    calibrations.retain(|measured| {
        let mut ids = panel.checks().iter().map(Check::id);
        ids.any(|id| id.name == measured.classifier && *id.revision == *measured.revision)
    });
    Ok(calibrations)
}
