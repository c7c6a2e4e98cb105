//! The page's own files, in the binary.

/// A file of the page.
pub(crate) struct Asset {
    pub(crate) media: &'static str,
    pub(crate) bytes: &'static [u8],
}

/// Declares the files of the page, by name and media type.
macro_rules! assets {
    ($($name:literal: $media:literal,)+) => {
        /// The file of that name.
        pub(crate) fn by_name(name: &str) -> Option<Asset> {
            match name {
                $($name => Some(Asset { media: $media, bytes: include_bytes!(concat!("../page/", $name)) }),)+
                _ => None,
            }
        }

        #[cfg(test)]
        pub(crate) const NAMES: &[&str] = &[$($name,)+];
    };
}

assets! {
    "index.html": "text/html; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "tokens.css": "text/css; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "views.css": "text/css; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "bulk.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "decisions.js": "text/javascript; charset=utf-8",
    "detail.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "exempt.js": "text/javascript; charset=utf-8",
    "export.js": "text/javascript; charset=utf-8",
    "filter.js": "text/javascript; charset=utf-8",
    "format.js": "text/javascript; charset=utf-8",
    "keys.js": "text/javascript; charset=utf-8",
    "login.js": "text/javascript; charset=utf-8",
    "overview.js": "text/javascript; charset=utf-8",
    "review.js": "text/javascript; charset=utf-8",
    "ui.js": "text/javascript; charset=utf-8",
    "views.js": "text/javascript; charset=utf-8",
    "visible.js": "text/javascript; charset=utf-8",
    "whatif.js": "text/javascript; charset=utf-8",
}

#[cfg(test)]
mod tests {
    use super::{NAMES, by_name};

    /// What turns text into markup or code. The page has Trusted Types as well; this says it before a browser does.
    const FORBIDDEN: &[&str] = &[
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "srcdoc",
        "eval(",
        "new Function",
        "createContextualFragment",
        "setHTML",
        "javascript:",
        "http://",
        "https://",
        "import(",
    ];

    #[test]
    fn no_file_of_the_page_makes_markup_or_loads_anything_from_elsewhere() {
        for name in NAMES {
            let text = String::from_utf8_lossy(by_name(name).expect("it is listed").bytes);
            // The names of XML's vocabularies look like addresses, and are none.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for word in FORBIDDEN {
                assert!(!text.contains(word), "{name} has `{word}`");
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder is there")
            .map(|file| file.expect("it is a file").file_name().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut names: Vec<&str> = NAMES.to_vec();
        names.sort_unstable();
        assert_eq!(files, names);
    }
}
