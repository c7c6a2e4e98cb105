//! Calibration files.

use classifiers_core::Category;

use crate::document::Node;
use crate::format::calibration as format;
use crate::reader::Reader;
use crate::{Calibration, ClassifierCalibration};

use super::hazards;

/// Reads a calibration file.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Option<ClassifierCalibration> {
    let fields = reader.fields(root, &format::FILE)?;
    super::version(reader, &fields);
    let mut text = |key: &str| {
        let node = fields.require(reader, key, "`portcullis calibrate` writes it")?;
        reader.text(node, &format!("`{key}`"))
    };
    let (classifier, revision) = (text("classifier"), text("revision"));
    let node = fields.require(reader, "hazards", "`portcullis calibrate` writes it")?;
    let mut measured: Vec<(Category, Calibration)> = Vec::new();
    for entry in reader.entries(node, "`hazards`").unwrap_or_default() {
        let category = hazards::category(reader, entry.key, entry.at, &[]);
        let calibration = scores(reader, entry.value);
        measured.extend(category.zip(calibration));
    }
    let of = |category| measured.iter().find(|(known, _)| *known == category).map(|(_, c)| *c);
    Some(ClassifierCalibration::new(classifier?, revision?, of))
}

fn scores(reader: &mut Reader<'_>, node: &Node) -> Option<Calibration> {
    let fields = reader.fields(node, &format::HAZARD)?;
    let mut score = |key: &str| {
        let node = fields.require(reader, key, "`portcullis calibrate` writes it")?;
        let fields = reader.fields(node, &format::LEVEL)?;
        let node = fields.require(reader, "score", "from when on a finding counts")?;
        hazards::score(reader, node, "`score`")
    };
    let (low, medium, high) = (score("low"), score("medium"), score("high"));
    let calibration = Calibration { low: low?, medium: medium?, high: high? };
    if calibration.low < calibration.medium || calibration.medium < calibration.high {
        reader
            .error(node.at, "the scores do not fall from `low` to `high`")
            .expected("fewer false alarms need a higher score");
    }
    Some(calibration)
}
