//! Fetching ONNX Runtime: the Python package of that name holds the library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::run;

/// What `classifiers/prompt-guard` is tested with; older ones down to 1.21 load too.
const VERSION: &str = "1.31.1";

/// Puts the library where the program and its tests look for it: `onnxruntime/` in the target directory. Does nothing
/// if this version is there already.
pub(crate) fn fetch(gpu: bool) -> Result<PathBuf, String> {
    let folder = crate::run::target()?.join("onnxruntime");
    let library = folder.join(format!(
        "{}onnxruntime{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    ));
    let package = if gpu { "onnxruntime-gpu" } else { "onnxruntime" };
    let wanted = format!("{package}=={VERSION}");
    let note = folder.join("version");
    if library.is_file() && fs::read_to_string(&note).is_ok_and(|version| version == wanted) {
        return Ok(library);
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let wheels = folder.join("wheel");
    // Of a download that was cut off.
    drop(fs::remove_dir_all(&wheels));
    let python = || Command::new("python3");
    run(python()
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"])
        .arg(&wheels)
        .arg(&wanted))?;
    let wheel = first_file(&wheels, |name| name.ends_with(".whl"))?;
    run(python().args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&wheels))?;
    let inside = wheels.join("onnxruntime").join("capi");
    // Providers of graphics cards are libraries of their own, and are looked for beside the first.
    for entry in entries(&inside)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains("onnxruntime_providers") {
            copy(&entry, &folder.join(name))?;
        }
    }
    let found = first_file(&inside, |name| {
        name.starts_with("libonnxruntime.") || name == "onnxruntime.dll"
    })?;
    copy(&found, &library)?;
    drop(fs::remove_dir_all(&wheels));
    fs::write(&note, wanted).map_err(|error| error.to_string())?;
    Ok(library)
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("{}: {error}", to.display()))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let read = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(read.flatten().map(|entry| entry.path()).collect())
}

fn first_file(folder: &Path, fits: impl Fn(&str) -> bool) -> Result<PathBuf, String> {
    let named = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(&fits);
    entries(folder)?
        .into_iter()
        .find(named)
        .ok_or_else(|| format!("{} does not hold what it should", folder.display()))
}
