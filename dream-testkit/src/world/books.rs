//! What must be true of a world at any time, beyond what the business itself can check.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::TestDream;

/// Something that is wrong with the books.
///
/// ```
/// use dream_testkit::world::Complaint;
///
/// let complaint = Complaint { about: "job:0198".to_owned(), what: "2 jobs at the image API".to_owned() };
/// assert_eq!(complaint.to_string(), "  job:0198: 2 jobs at the image API");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// What it is about, such as `job:0198…`.
    pub about: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}: {}", self.about, self.what)
    }
}

fn complaint(about: impl Into<String>, what: impl Into<String>) -> Complaint {
    Complaint { about: about.into(), what: what.into() }
}

pub(super) async fn check(world: &TestDream) -> Vec<Complaint> {
    let mut complaints = audit(world).await;
    complaints.extend(upstream(world).await);
    complaints.extend(outbox(world).await);
    complaints.extend(objects(world).await);
    complaints
}

/// The rules that the business checks by itself.
async fn audit(world: &TestDream) -> Vec<Complaint> {
    let report = world.dream().audit().await.expect("the books can be read");
    let named = |finding: &dream_core::AuditFinding| {
        complaint(&finding.subject, format!("{}: {}", finding.rule.as_str(), finding.detail))
    };
    report.findings.iter().map(named).collect()
}

/// One job at the image API for each record that was submitted, and none without a record.
async fn upstream(world: &TestDream) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let records: BTreeMap<String, String> = world
        .database()
        .pairs("SELECT job_id, coalesce(upstream_id, '') FROM generations")
        .await
        .into_iter()
        .collect();
    let mut made: HashMap<String, Vec<String>> = HashMap::new();
    for job in world.image_api().jobs() {
        let key = job.idempotency_key.unwrap_or_default();
        match key.strip_prefix("dream-").filter(|record| records.contains_key(*record)) {
            Some(record) => made.entry(record.to_owned()).or_default().push(job.id),
            None => complaints.push(complaint(format!("upstream:{}", job.id), "no record has asked for it")),
        }
    }
    for (record, upstream_id) in &records {
        let jobs = made.get(record).map_or(&[] as &[String], Vec::as_slice);
        if jobs.len() > 1 {
            let what = format!("{} jobs at the image API", jobs.len());
            complaints.push(complaint(format!("job:{record}"), what));
        }
        if !upstream_id.is_empty() && !jobs.contains(upstream_id) {
            complaints.push(complaint(format!("job:{record}"), "it has the id of another job"));
        }
    }
    complaints
}

/// Housekeeping is planned, and no task waits that has no reason to.
async fn outbox(world: &TestDream) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let database = world.database();
    if database.number("SELECT count(*) FROM outbox WHERE kind = 'housekeeping'").await != 1 {
        complaints.push(complaint("outbox", "housekeeping is not planned once"));
    }
    let rehosts = "SELECT o.subject FROM outbox o WHERE o.kind = 'job.rehost' AND NOT EXISTS \
                   (SELECT 1 FROM generations g WHERE g.job_id = o.subject AND g.status = 'SUCCEEDED')";
    for job in database.texts(rehosts).await {
        complaints.push(complaint(format!("job:{job}"), "its pictures are to be copied, but it has none"));
    }
    complaints
}

/// No object without a row that names it, and no row that names an object which is not there.
async fn objects(world: &TestDream) -> Vec<Complaint> {
    let (named, may_be_gone) = named_objects(world).await;
    let mut there = BTreeSet::new();
    let mut after = None;
    loop {
        let page = world.blobs().list("", after.as_ref()).await.expect("the objects can be listed");
        there.extend(page.items.into_iter().map(|info| info.key.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let lost = named
        .difference(&there)
        .map(|key| complaint(format!("object:{key}"), "a row names it, but it is gone"));
    let mut complaints: Vec<Complaint> = lost.collect();
    if !world.lost_objects_allowed {
        let orphans = there.iter().filter(|key| !named.contains(*key) && !may_be_gone.contains(*key));
        complaints.extend(orphans.map(|key| complaint(format!("object:{key}"), "no row names it")));
    }
    complaints
}

/// Objects that must be there, and those whose removal is under way.
async fn named_objects(world: &TestDream) -> (BTreeSet<String>, BTreeSet<String>) {
    let database = world.database();
    let mut named = BTreeSet::new();
    let urls = "SELECT result_urls FROM generations UNION ALL \
                SELECT '[\"' || thumbnail_url || '\"]' FROM generations WHERE thumbnail_url IS NOT NULL UNION ALL \
                SELECT '[\"' || image_url || '\",\"' || thumbnail_url || '\"]' FROM gallery_images \
                WHERE status <> 'REMOVED' UNION ALL \
                SELECT '[\"' || avatar_url || '\"]' FROM users WHERE avatar_url IS NOT NULL UNION ALL \
                SELECT preview_images FROM prompt_templates UNION ALL \
                SELECT '[\"' || thumbnail_url || '\"]' FROM prompt_templates WHERE thumbnail_url IS NOT NULL \
                UNION ALL SELECT preview_images FROM param_templates UNION ALL \
                SELECT '[\"' || thumbnail_url || '\"]' FROM param_templates WHERE thumbnail_url IS NOT NULL";
    for list in database.texts(urls).await {
        let urls: Vec<String> = serde_json::from_str(&list).expect("a list of URLs");
        named.extend(urls.iter().filter_map(|url| world.blobs().key_of(url)).map(|key| key.to_string()));
    }
    let keys = "SELECT blob_key FROM uploads UNION ALL SELECT thumbnail_key FROM character_photos UNION ALL \
                SELECT original_key FROM character_photos";
    named.extend(database.texts(keys).await);
    for request in database.texts("SELECT request FROM generations WHERE completed_at IS NULL").await {
        let request: serde_json::Value = serde_json::from_str(&request).expect("JSON");
        named.extend(request["input_blob"].as_str().map(str::to_owned));
    }
    let mut may_be_gone: BTreeSet<String> =
        database.texts("SELECT subject FROM outbox WHERE kind = 'blob.delete'").await.into_iter().collect();
    // A photo that lies elsewhere may lie in our storage as somebody else's.
    let links =
        "SELECT thumbnail_url FROM character_photos UNION ALL SELECT original_url FROM character_photos";
    let links = database.texts(links).await;
    may_be_gone.extend(links.iter().filter_map(|url| world.blobs().key_of(url)).map(|key| key.to_string()));
    (named, may_be_gone)
}
