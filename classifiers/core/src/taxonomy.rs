//! The categories a finding can name.

use std::fmt;
use std::str::FromStr;

/// One category of content that a classifier can find.
///
/// The first fourteen are the MLCommons hazards in the order of their codes S1 to S14, as Llama Guard 3
/// uses them (model card of `meta-llama/Llama-Guard-3-8B`); then the two kinds of prompt attack as
/// Prompt Guard defines them; then what Code Shield and pattern detectors find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// S1: encouraging or enabling violence against people or animals.
    ViolentCrimes,
    /// S2: encouraging or enabling crimes without violence (fraud, theft, drugs, cybercrime).
    NonViolentCrimes,
    /// S3: trafficking, sexual assault, harassment, prostitution.
    SexRelatedCrimes,
    /// S4: sexual abuse of children.
    ChildSexualExploitation,
    /// S5: false statements that injure a living person's reputation.
    Defamation,
    /// S6: financial, medical, legal or electoral advice, or declaring dangerous things safe.
    SpecializedAdvice,
    /// S7: sensitive, nonpublic personal information.
    Privacy,
    /// S8: violating the intellectual property of a third party.
    IntellectualProperty,
    /// S9: chemical, biological, radiological, nuclear and high-yield explosive weapons.
    IndiscriminateWeapons,
    /// S10: demeaning people for protected characteristics.
    Hate,
    /// S11: encouraging or enabling suicide, self-harm or disordered eating.
    SuicideSelfHarm,
    /// S12: erotica.
    SexualContent,
    /// S13: false information about electoral systems and processes.
    Elections,
    /// S14: abuse of a code interpreter (denial of service, container escape, privilege escalation).
    CodeInterpreterAbuse,
    /// Instructions placed in third-party data that hijack the model (Prompt Guard: injection).
    PromptInjection,
    /// An attempt to override the model's own rules (Prompt Guard: jailbreak).
    Jailbreak,
    /// Code with a known weakness (CWE).
    InsecureCode,
    /// Credentials: keys, tokens, passwords.
    Secrets,
    /// Data that identifies a person.
    PersonalData,
}

impl Category {
    /// Every category, S1 to S14 first.
    pub const ALL: [Self; 19] = [
        Self::ViolentCrimes,
        Self::NonViolentCrimes,
        Self::SexRelatedCrimes,
        Self::ChildSexualExploitation,
        Self::Defamation,
        Self::SpecializedAdvice,
        Self::Privacy,
        Self::IntellectualProperty,
        Self::IndiscriminateWeapons,
        Self::Hate,
        Self::SuicideSelfHarm,
        Self::SexualContent,
        Self::Elections,
        Self::CodeInterpreterAbuse,
        Self::PromptInjection,
        Self::Jailbreak,
        Self::InsecureCode,
        Self::Secrets,
        Self::PersonalData,
    ];

    /// The name used in policies, records and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The title a person reads; for S1 to S14 the MLCommons name.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().1
    }

    /// The code by which models and standards know it, for the MLCommons hazards `S1` to `S14`.
    #[must_use]
    pub const fn code(self) -> Option<&'static str> {
        self.row().2
    }

    /// The harmless string that the test triggers report as this category with score 1.
    #[must_use]
    pub const fn trigger(self) -> &'static str {
        self.row().3
    }

    /// Whether this is a prompt attack: something that only text not written by the operator can be.
    #[must_use]
    pub const fn is_prompt_attack(self) -> bool {
        matches!(self, Self::PromptInjection | Self::Jailbreak)
    }

    /// Name, title, code, test trigger.
    const fn row(self) -> (&'static str, &'static str, Option<&'static str>, &'static str) {
        match self {
            Self::ViolentCrimes => {
                ("violent_crimes", "Violent Crimes", Some("S1"), "PORTCULLIS-TEST-S1")
            }
            Self::NonViolentCrimes => {
                ("non_violent_crimes", "Non-Violent Crimes", Some("S2"), "PORTCULLIS-TEST-S2")
            }
            Self::SexRelatedCrimes => {
                ("sex_related_crimes", "Sex-Related Crimes", Some("S3"), "PORTCULLIS-TEST-S3")
            }
            Self::ChildSexualExploitation => (
                "child_sexual_exploitation",
                "Child Sexual Exploitation",
                Some("S4"),
                "PORTCULLIS-TEST-S4",
            ),
            Self::Defamation => ("defamation", "Defamation", Some("S5"), "PORTCULLIS-TEST-S5"),
            Self::SpecializedAdvice => {
                ("specialized_advice", "Specialized Advice", Some("S6"), "PORTCULLIS-TEST-S6")
            }
            Self::Privacy => ("privacy", "Privacy", Some("S7"), "PORTCULLIS-TEST-S7"),
            Self::IntellectualProperty => {
                ("intellectual_property", "Intellectual Property", Some("S8"), "PORTCULLIS-TEST-S8")
            }
            Self::IndiscriminateWeapons => (
                "indiscriminate_weapons",
                "Indiscriminate Weapons",
                Some("S9"),
                "PORTCULLIS-TEST-S9",
            ),
            Self::Hate => ("hate", "Hate", Some("S10"), "PORTCULLIS-TEST-S10"),
            Self::SuicideSelfHarm => {
                ("suicide_self_harm", "Suicide & Self-Harm", Some("S11"), "PORTCULLIS-TEST-S11")
            }
            Self::SexualContent => {
                ("sexual_content", "Sexual Content", Some("S12"), "PORTCULLIS-TEST-S12")
            }
            Self::Elections => ("elections", "Elections", Some("S13"), "PORTCULLIS-TEST-S13"),
            Self::CodeInterpreterAbuse => (
                "code_interpreter_abuse",
                "Code Interpreter Abuse",
                Some("S14"),
                "PORTCULLIS-TEST-S14",
            ),
            Self::PromptInjection => {
                ("prompt_injection", "Prompt Injection", None, "PORTCULLIS-TEST-INJECTION")
            }
            Self::Jailbreak => ("jailbreak", "Jailbreak", None, "PORTCULLIS-TEST-JAILBREAK"),
            Self::InsecureCode => {
                ("insecure_code", "Insecure Code", None, "PORTCULLIS-TEST-INSECURE-CODE")
            }
            Self::Secrets => ("secrets", "Secrets", None, "PORTCULLIS-TEST-SECRET"),
            Self::PersonalData => {
                ("personal_data", "Personal Data", None, "PORTCULLIS-TEST-PERSONAL-DATA")
            }
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no category.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown category `{0}`")]
pub struct UnknownCategory(String);

impl FromStr for Category {
    type Err = UnknownCategory;

    /// Reads a policy name such as `violent_crimes`; codes such as `S1` are not accepted here.
    fn from_str(text: &str) -> Result<Self, UnknownCategory> {
        Self::ALL
            .into_iter()
            .find(|c| c.name() == text)
            .ok_or_else(|| UnknownCategory(text.to_owned()))
    }
}
