//! The route table. The router, the document, the labels of the metrics and the tests all read these rows.

mod row;

use std::collections::HashMap;

use http::{HeaderValue, Method};
use percent_encoding::percent_decode_str;

pub use row::{Handler, Row, delete, get, post, put};
pub(crate) use row::{Options, Sketched};

/// The rows, and the way to find one.
///
/// ```
/// use dream_core::Result;
/// use dream_http::gate::Anyone;
/// use dream_http::table::{Table, get, post};
///
/// async fn nothing(_: Anyone, (): ()) -> Result<()> {
///     Ok(())
/// }
/// let table = Table::new(vec![get("/v1/a", nothing), post("/v1/a", nothing)]).unwrap();
/// assert_eq!(table.rows().len(), 2);
/// // A row that no request could ever reach is refused when the program starts.
/// assert!(Table::new(vec![get("/v1/a", nothing), get("/v1/a", nothing)]).is_err());
/// ```
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
    router: matchit::Router<usize>,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    by_method: Vec<(Method, usize)>,
    allow: HeaderValue,
}

/// Where a request leads.
#[derive(Debug)]
pub(crate) enum Found {
    /// To the row with this number, with the decoded ids of the path.
    Row(usize, Vec<Option<String>>),
    /// To a path that does not take this method, but these.
    Method(HeaderValue),
    /// Nowhere.
    Nothing,
}

impl Table {
    /// The table of these rows.
    ///
    /// ```
    /// use dream_core::Result;
    /// use dream_core::kernel::{ImageId, JobId};
    /// use dream_http::gate::Anyone;
    /// use dream_http::input::Path;
    /// use dream_http::table::{Table, get};
    ///
    /// async fn job(_: Anyone, Path(_): Path<JobId>) -> Result<()> {
    ///     Ok(())
    /// }
    /// async fn image(_: Anyone, Path(_): Path<ImageId>) -> Result<()> {
    ///     Ok(())
    /// }
    /// // To a request both paths are the same, whatever their ids are called.
    /// let fault = Table::new(vec![get("/v1/x/{jobId}", job), get("/v1/x/{imageId}", image)]).unwrap_err();
    /// assert!(fault.contains("/v1/x/{imageId}"));
    /// ```
    ///
    /// # Errors
    /// The first row that can never be reached, since another has its method and path.
    pub fn new(rows: Vec<Row>) -> Result<Self, String> {
        let mut router = matchit::Router::new();
        let mut nodes: Vec<Node> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            let pattern = anonymous(row.path);
            let node = if let Some(&node) = known.get(&pattern) {
                node
            } else {
                router.insert(&pattern, nodes.len()).map_err(|error| format!("{row:?}: {error}"))?;
                known.insert(pattern, nodes.len());
                nodes.push(Node { by_method: Vec::new(), allow: HeaderValue::from_static("") });
                nodes.len() - 1
            };
            let by_method = &mut nodes[node].by_method;
            if by_method.iter().any(|(method, _)| *method == row.method) {
                return Err(format!("{row:?} stands in the table twice"));
            }
            by_method.push((row.method.clone(), index));
        }
        for node in &mut nodes {
            node.allow = allow(&node.by_method);
        }
        Ok(Self { rows, router, nodes })
    }

    /// All rows.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_http::gate::Guard;
    /// use dream_http::{App, Settings};
    ///
    /// let app = App::builder(world.dream().clone(), Settings::default()).build()?;
    /// // A list of what needs an admin key, for whoever configures a firewall.
    /// let rows = app.table().rows().iter();
    /// let guarded: Vec<&str> =
    ///     rows.filter(|row| row.guard() == Guard::Admin).map(|row| row.path()).collect();
    /// assert!(guarded.contains(&"/v1/admin/users"));
    /// # Ok(())
    /// # });
    /// ```
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Finds the row. The path is split before it is decoded, so that `..%2f..` is an odd id and never another
    /// path; a slash at the end makes no difference.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found {
        let matched = self.router.at(path).or_else(|miss| match path.strip_suffix('/') {
            Some(shorter) if !shorter.is_empty() => self.router.at(shorter),
            _ => Err(miss),
        });
        let Ok(matched) = matched else { return Found::Nothing };
        let node = &self.nodes[*matched.value];
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        match node.by_method.iter().find(|(method, _)| method == wanted) {
            Some((_, row)) => Found::Row(*row, matched.params.iter().map(|(_, part)| decode(part)).collect()),
            None => Found::Method(node.allow.clone()),
        }
    }
}

fn decode(part: &str) -> Option<String> {
    percent_decode_str(part).decode_utf8().ok().map(Into::into)
}

/// The pattern without the names of its placeholders, which may differ from row to row.
fn anonymous(path: &str) -> String {
    let mut count = 0;
    let parts: Vec<String> = path
        .split('/')
        .map(|part| match part.strip_prefix('{') {
            Some(name) if name.starts_with('*') => "{*rest}".to_owned(),
            Some(_) => {
                count += 1;
                format!("{{p{count}}}")
            }
            None => part.to_owned(),
        })
        .collect();
    parts.join("/")
}

fn allow(by_method: &[(Method, usize)]) -> HeaderValue {
    let mut names: Vec<&str> = by_method.iter().map(|(method, _)| method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.sort_unstable();
    HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

/// The names of a path's placeholders, in their order.
pub(crate) fn placeholders(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| {
        part.strip_prefix('{').map(|name| name.trim_end_matches('}').trim_start_matches('*'))
    })
}

#[cfg(test)]
mod tests {
    use dream_core::Result;
    use dream_core::kernel::JobId;

    use super::*;
    use crate::gate::Anyone;
    use crate::input::Path;

    async fn plain(_: Anyone, (): ()) -> Result<String> {
        Ok(String::new())
    }

    async fn by_id(_: Anyone, Path(id): Path<JobId>) -> Result<String> {
        Ok(id.to_string())
    }

    fn table() -> Table {
        Table::new(vec![
            get("/v1/jobs", plain),
            post("/v1/jobs", plain),
            get("/v1/jobs/quota", plain),
            get("/v1/jobs/{jobId}", by_id),
            delete("/v1/jobs/{id}", by_id),
            get("/", plain),
        ])
        .unwrap()
    }

    fn row_at(path: &str) -> (&'static str, Vec<Option<String>>) {
        match table().find(&Method::GET, path) {
            Found::Row(row, ids) => (table().rows()[row].path, ids),
            other => panic!("{path} leads to {other:?}"),
        }
    }

    #[test]
    fn a_fixed_path_beats_a_placeholder() {
        assert_eq!(row_at("/v1/jobs/quota").0, "/v1/jobs/quota");
        assert_eq!(row_at("/v1/jobs/quotas"), ("/v1/jobs/{jobId}", vec![Some("quotas".to_owned())]));
        assert_eq!(row_at("/v1/jobs/").0, "/v1/jobs");
        assert_eq!(row_at("/").0, "/");
    }

    #[test]
    fn an_encoded_slash_stays_inside_its_id() {
        let (path, ids) = row_at("/v1/jobs/..%2f..%2fhealth");
        assert_eq!(path, "/v1/jobs/{jobId}");
        assert_eq!(ids, [Some("../../health".to_owned())]);
        assert_eq!(row_at("/v1/jobs/%ff").1, [None]);
        // Decoded once only.
        assert_eq!(row_at("/v1/jobs/%252f").1, [Some("%2f".to_owned())]);
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let table = table();
        let Found::Method(allow) = table.find(&Method::PUT, "/v1/jobs/abc") else { panic!("found") };
        assert_eq!(allow, "DELETE, GET, HEAD, OPTIONS");
        assert!(matches!(table.find(&Method::GET, "/v1/nothing"), Found::Nothing));
        assert!(matches!(table.find(&Method::HEAD, "/v1/jobs"), Found::Row(..)));
    }

    #[test]
    fn a_row_that_stands_twice_is_refused() {
        assert!(Table::new(vec![get("/a/{x}", by_id), get("/a/{y}", by_id)]).is_err());
    }
}
