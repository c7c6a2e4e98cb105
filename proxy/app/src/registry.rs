//! Which classifiers run: the only file that names them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use classifiers_batching::{InProcess, VerdictCacheLayer};
use classifiers_code_shield::CodeShield;
use classifiers_core::{
    Assessment, Backend, BoxClassify, Category, ClassifierId, Classify, ClassifyError, Passage,
    Role, TestTriggers,
};
use classifiers_llama_guard::LlamaGuard;
use classifiers_patterns::Patterns;
use classifiers_prompt_guard::{Options, PromptGuard};
use classifiers_remote::LlamaGuardOptions;
use classifiers_starter::Starter;
use classifiers_text::ViewsLayer;
use futures_util::future::{Either, Ready, ready};
use policies::{ClassifierCalibration, library};
use proxy_stack::{Check, Panel};
use tower::{Layer, Service, ServiceExt};

use crate::elsewhere::Elsewhere;
use crate::failure::Failure;

/// Verdicts that are remembered for each classifier: about 1 KB each.
const REMEMBERED_VERDICTS: usize = 8192;

/// A Prompt Guard to be loaded.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) folder: PathBuf,
    pub(crate) options: Options,
}

/// A Llama Guard to be loaded.
#[derive(Clone, Debug)]
pub(crate) struct Llama {
    pub(crate) folder: PathBuf,
    pub(crate) options: classifiers_llama_guard::Options,
}

impl Llama {
    /// The same model, asked on servers that run it.
    pub(crate) fn there(&self) -> LlamaGuardOptions {
        LlamaGuardOptions {
            long: self.options.long,
            exclude: self.options.exclude.clone(),
            rename: self.options.rename.clone(),
            ..LlamaGuardOptions::new(self.folder.clone())
        }
    }
}

/// The models beside what comes with the program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Models {
    /// Judges prompt attacks if there is one.
    pub(crate) prompt_guard: Option<Model>,
    /// Judges hazards if there is one.
    pub(crate) llama_guard: Option<Llama>,
    /// What judges on other machines, in place of those.
    pub(crate) elsewhere: Elsewhere,
    /// What judges when others give no verdict, where a policy says so.
    pub(crate) standby: Standby,
}

/// Models that judge when others give no verdict.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standby {
    /// `prompt_guard_local` in a policy.
    pub(crate) prompt_guard: Option<Model>,
    /// `llama_guard_local` in a policy.
    pub(crate) llama_guard: Option<Llama>,
}

impl Models {
    /// Whether a model judges prompt attacks.
    const fn judge_attacks(&self) -> bool {
        self.prompt_guard.is_some() || self.elsewhere.prompt_guard.is_some()
    }

    /// Whether a model judges hazards.
    const fn judge_hazards(&self) -> bool {
        self.llama_guard.is_some() || self.elsewhere.llama_guard.is_some()
    }
}

/// The classifiers that come with the program, and in their place the models that are given: Prompt Guard for prompt
/// attacks, Llama Guard for hazards.
///
/// A model answers within `deadline`, or not at all.
pub(crate) fn panel(models: &Models, deadline: Duration) -> Result<Panel, Failure> {
    let triggers = TestTriggers::new();
    // Not cached: finding a string is faster than looking it up.
    let triggers = Check::new(triggers.id().clone(), BoxClassify::new(InProcess::new(triggers)));
    // Not a feature: `--all-features` must never take the guard out.
    if cfg!(portcullis_unjudged) {
        tracing::warn!("this build is for benchmarks: nothing but test triggers is judged");
        return Ok(Panel::new([triggers]));
    }
    let mut checks = Vec::new();
    if let Some(model) = &models.prompt_guard {
        let guard = prompt_here(model, deadline)?;
        checks.push(attacks(guard.id().clone(), guard));
    }
    if let Some(model) = &models.llama_guard {
        let guard = llama_here(model, deadline)?;
        checks.push(hazards(guard.id().clone(), guard));
    }
    checks.extend(elsewhere(&models.elsewhere, deadline)?);
    checks.extend(starter(models)?);
    checks.extend([triggers, patterns(), code_shield()?]);
    Ok(Panel::with_standbys(checks, standbys(models, deadline)?))
}

/// Who judges when a check gives no verdict and the policy names them: models here, and the embedded classifier.
fn standbys(models: &Models, deadline: Duration) -> Result<Vec<Check>, Failure> {
    let mut checks = Vec::new();
    let named = |name: &str, id: &ClassifierId| ClassifierId::new(name, Arc::clone(&id.revision));
    if let Some(model) = &models.standby.llama_guard {
        let guard = llama_here(model, deadline)?;
        checks.push(hazards(named("llama_guard_local", guard.id()), guard));
    }
    if let Some(model) = &models.standby.prompt_guard {
        let guard = prompt_here(model, deadline)?;
        checks.push(attacks(named("prompt_guard_local", guard.id()), guard));
    }
    if models.judge_attacks() || models.judge_hazards() || models.elsewhere.moderations.is_some() {
        checks.extend(starter(&Models::default())?);
    }
    Ok(checks)
}

/// What those are called that a policy can let judge in another's place.
pub(crate) fn standby_names(models: &Models) -> Vec<&'static str> {
    let Standby { llama_guard, prompt_guard } = &models.standby;
    let elsewhere = models.elsewhere.moderations.is_some();
    let starter = models.judge_attacks() || models.judge_hazards() || elsewhere;
    let names = [
        ("llama_guard_local", llama_guard.is_some()),
        ("prompt_guard_local", prompt_guard.is_some()),
        ("starter", starter),
    ];
    names.into_iter().filter_map(|(name, there)| there.then_some(name)).collect()
}

/// Loads a Prompt Guard that answers within `deadline` or not at all.
fn prompt_here(model: &Model, deadline: Duration) -> Result<PromptGuard, Failure> {
    load(&Model { options: Options { deadline, ..model.options }, ..model.clone() })
}

/// Loads a Llama Guard that answers within `deadline` or not at all.
fn llama_here(model: &Llama, deadline: Duration) -> Result<LlamaGuard, Failure> {
    let options = classifiers_llama_guard::Options { deadline, ..model.options.clone() };
    load_llama(&Llama { options, ..model.clone() })
}

/// The embedded classifier, for what no model judges.
fn starter(models: &Models) -> Result<Option<Check>, Failure> {
    let starter = Starter::embedded()
        .map_err(|error| Failure::environment("the embedded classifier cannot be used", &error))?;
    let id = starter.id().clone();
    let starter = remembered().layer(ViewsLayer.layer(InProcess::new(starter)));
    let starter = starter.map_request(Passage::alone);
    let service = match (models.judge_attacks(), models.judge_hazards()) {
        (true, true) => return Ok(None),
        (true, false) => BoxClassify::new(starter.map_response(without_attacks)),
        (false, true) => BoxClassify::new(starter.map_response(only_attacks)),
        (false, false) => BoxClassify::new(starter),
    };
    Ok(Some(Check::new(id, service)))
}

/// What judges on other machines.
fn elsewhere(models: &Elsewhere, deadline: Duration) -> Result<Vec<Check>, Failure> {
    let mut checks = Vec::new();
    if let Some(model) = &models.prompt_guard {
        let guard = model.open(deadline)?;
        checks.push(attacks(guard.id().clone(), guard));
    }
    if let Some(model) = &models.llama_guard {
        let guard = model.open(deadline)?;
        checks.push(hazards(guard.id().clone(), guard));
    }
    if let Some(model) = &models.moderations {
        let guard = model.open(deadline)?;
        let id = guard.id().clone();
        let guard = remembered().layer(ViewsLayer.layer(guard)).map_request(Passage::alone);
        checks.push(Check::new(id, BoxClassify::new(guard)));
    }
    Ok(checks)
}

/// A judge of prompt attacks, wherever it runs.
fn attacks<S>(id: ClassifierId, guard: S) -> Check
where
    S: Classify + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let guard = remembered().layer(ViewsLayer.layer(guard)).map_request(Passage::alone);
    let guard = NotOperator { inner: guard, id: id.clone() };
    Check::new(id, BoxClassify::new(guard))
}

/// A judge of hazards, wherever it runs.
fn hazards<S>(id: ClassifierId, guard: S) -> Check
where
    S: Classify + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    Check::new(id, BoxClassify::new(remembered().layer(ViewsLayer.layer(guard))))
}

fn remembered() -> VerdictCacheLayer {
    VerdictCacheLayer::new(REMEMBERED_VERDICTS)
}

/// Secrets and personal data. Disguised ones are judged too, and where they lie is known in every view.
fn patterns() -> Check {
    let patterns = Patterns::new();
    let id = patterns.id().clone();
    let viewed = remembered().layer(ViewsLayer.layer(InProcess::new(patterns)));
    let service = BoxClassify::new(viewed.map_request(Passage::alone));
    Check::new(id, service).locating(&[Category::Secrets, Category::PersonalData])
}

/// Insecure code, as it stands: disguised code does not run. Not cached, because most texts hold no word that any rule
/// is about, and that is found faster than a verdict.
fn code_shield() -> Result<Check, Failure> {
    let shield = CodeShield::new()
        .map_err(|error| Failure::environment("the rules about code cannot be used", &error))?;
    let id = shield.id().clone();
    Ok(Check::new(id, BoxClassify::new(InProcess::new(shield))))
}

/// The classifiers that come with the program.
pub(crate) fn embedded() -> Result<Panel, Failure> {
    panel(&Models::default(), Duration::ZERO)
}

/// Loads Prompt Guard.
pub(crate) fn load(model: &Model) -> Result<PromptGuard, Failure> {
    PromptGuard::load(&model.folder, model.options)
        .map_err(|error| Failure::environment("Prompt Guard cannot be used", &error))
}

/// Loads Llama Guard.
pub(crate) fn load_llama(model: &Llama) -> Result<LlamaGuard, Failure> {
    LlamaGuard::load(&model.folder, &model.options)
        .map_err(|error| Failure::environment("Llama Guard cannot be used", &error))
}

fn only_attacks(mut assessment: Assessment) -> Assessment {
    assessment.findings.retain(|finding| finding.category.is_prompt_attack());
    assessment
}

fn without_attacks(mut assessment: Assessment) -> Assessment {
    assessment.findings.retain(|finding| !finding.category.is_prompt_attack());
    assessment
}

/// Asks a classifier of prompt attacks about everything but the operator's own words: instructing the model is their
/// purpose, no finding about them counts, and an inference takes far longer than this check.
#[derive(Clone)]
struct NotOperator<S> {
    inner: S,
    id: ClassifierId,
}

impl<S> Service<Passage> for NotOperator<S>
where
    S: Service<Passage, Response = Assessment, Error = ClassifyError>,
{
    type Response = Assessment;
    type Error = ClassifyError;
    type Future = Either<Ready<Result<Assessment, ClassifyError>>, S::Future>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), ClassifyError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, passage: Passage) -> Self::Future {
        if passage.origin.role != Role::Operator {
            return Either::Right(self.inner.call(passage));
        }
        let nothing = Assessment::new(self.id.clone(), Vec::new());
        Either::Left(ready(Ok(nothing)))
    }
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
