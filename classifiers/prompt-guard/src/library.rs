//! Finding ONNX Runtime.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

/// The name of the library on this system.
#[cfg(target_os = "linux")]
const NAME: &str = "libonnxruntime.so";
#[cfg(target_os = "macos")]
const NAME: &str = "libonnxruntime.dylib";
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
const NAME: &str = "onnxruntime.dll";

/// ONNX Runtime cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// It is nowhere.
    #[error(
        "ONNX Runtime is needed for this classifier and was not found (looked at {looked}); in a checkout run \
         `cargo xtask onnxruntime`, elsewhere put {NAME} beside the program or set ORT_DYLIB_PATH to it"
    )]
    Missing {
        /// Where it was looked for.
        looked: String,
    },
    /// It is there and cannot be loaded.
    #[error("ONNX Runtime at {} cannot be loaded: {reason}", path.display())]
    Unusable {
        /// Where it is.
        path: PathBuf,
        /// What the system, or the library, says.
        reason: String,
    },
}

/// One for the whole process: it can only be loaded once.
static LOADED: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads ONNX Runtime, or returns what is loaded already.
pub(crate) fn environment() -> Result<Environment, LibraryError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let environment = load()?;
    *loaded = Some(environment.clone());
    Ok(environment)
}

fn load() -> Result<Environment, LibraryError> {
    let given =
        std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = given {
        if !path.is_file() {
            let looked = format!("ORT_DYLIB_PATH, {}", path.display());
            return Err(LibraryError::Missing { looked });
        }
        return load_from(&path);
    }
    let places = places();
    if let Some(path) = places.iter().find(|path| path.is_file()) {
        return load_from(path);
    }
    // The system's own search, last.
    load_from(Path::new(NAME)).map_err(|_| {
        let places = places.iter().map(|place| place.display().to_string());
        let looked: Vec<String> = places.chain(["the system's libraries".to_owned()]).collect();
        LibraryError::Missing { looked: looked.join(", ") }
    })
}

/// Beside the program, and where `cargo xtask onnxruntime` puts it.
fn places() -> Vec<PathBuf> {
    let Ok(program) = std::env::current_exe() else { return Vec::new() };
    let folders = program.ancestors().skip(1).take(3);
    let mut places: Vec<PathBuf> =
        folders.map(|folder| folder.join("onnxruntime").join(NAME)).collect();
    places.insert(0, program.with_file_name(NAME));
    places
}

fn load_from(path: &Path) -> Result<Environment, LibraryError> {
    let unusable = |reason: String| LibraryError::Unusable { path: path.to_owned(), reason };
    let builder = ort::init_from(path).map_err(|error| unusable(error.to_string()))?;
    builder
        .with_name("portcullis")
        .with_telemetry(false)
        .build()
        .map_err(|error| unusable(error.to_string()))
}
