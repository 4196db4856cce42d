//! Templates: what admins make of them, and how their uses are counted.

use dream_core::kernel::{PageRequest, Patch, TemplateId};
use dream_core::templates::{
    NewParamTemplate, NewPromptTemplate, ParamContent, ParamPatch, PreviewImages, PromptContent,
    PromptFilter, PromptPatch, TemplateSet, Unnamed,
};
use dream_core::{AuditFilter, AuditRecord, Code, Error, Facts};
use dream_testkit::on_every_backend;
use dream_testkit::world::{ADMIN_NAME, TestDream, polished};
use futures_util::future::join_all;

use crate::support::{code, heard};

fn id(text: &str) -> TemplateId {
    text.parse().expect("an id")
}

fn prompt(name: &str, title: &str) -> NewPromptTemplate {
    let content = PromptContent {
        title: title.parse().expect("a title"),
        description: None,
        prompt: "a quiet lake".parse().expect("a prompt"),
        category: "landscape".parse().expect("a category"),
        thumbnail_url: None,
        preview_images: PreviewImages::default(),
        is_hot: false,
    };
    NewPromptTemplate { template_id: id(name), content }
}

fn params(name: &str, title: &str) -> NewParamTemplate {
    let content = ParamContent {
        title: title.parse().expect("a title"),
        description: None,
        thumbnail_url: None,
        preview_images: PreviewImages::default(),
        mode: None,
        resolution: None,
        aspect_ratio: None,
        sample_count: None,
    };
    NewParamTemplate { template_id: id(name), content }
}

/// The ids that are in the way.
fn taken(error: &Error) -> Vec<&str> {
    match error.facts() {
        Facts::Templates(ids) => ids.iter().map(TemplateId::as_str).collect(),
        _ => Vec::new(),
    }
}

/// What the audit log says of templates, oldest first.
async fn log(world: &TestDream) -> Vec<AuditRecord> {
    let admin = world.admin().await;
    let page = admin.audit_log(&AuditFilter::default(), &PageRequest::default()).await.expect("the log");
    page.items.into_iter().rev().collect()
}

async fn titles(world: &TestDream) -> Vec<(String, String)> {
    let all = world.nobody().prompt_templates(&PromptFilter::default()).await.expect("templates");
    let pair = |it: dream_core::templates::PromptTemplate| {
        (it.template_id.to_string(), it.content.title.as_str().to_owned())
    };
    all.into_iter().map(pair).collect()
}

on_every_backend!(a_template_is_made_changed_and_removed_and_each_is_on_record, |backend| async move {
    let world = TestDream::start(&backend).await;
    let (admin, nobody) = (world.admin().await, world.nobody());
    let new = prompt("lake", "Lake");
    let made = admin.create_prompt_template(new.clone()).await.unwrap();
    assert_eq!((&made.template_id, &made.content, made.usage_count), (&new.template_id, &new.content, 0));
    assert_eq!(nobody.prompt_template(&id("lake")).await.unwrap(), made);

    nobody.count_template_use(&id("lake")).await.unwrap();
    let patch = PromptPatch {
        title: Some("Quiet lake".parse().unwrap()),
        description: Patch::Set("for the evening".parse().unwrap()),
        is_hot: Some(true),
        ..PromptPatch::default()
    };
    let changed = admin.update_prompt_template(&id("lake"), &patch).await.unwrap();
    assert_eq!(changed.content.prompt, made.content.prompt);
    assert_eq!((changed.id, changed.usage_count, changed.content.is_hot), (made.id, 1, true));
    // What changes nothing leaves no trace.
    admin.update_prompt_template(&id("lake"), &patch).await.unwrap();
    let cleared = PromptPatch { description: Patch::Clear, ..PromptPatch::default() };
    let cleared = admin.update_prompt_template(&id("lake"), &cleared).await.unwrap();
    assert_eq!(cleared.content.description, None);
    admin.delete_prompt_template(&id("lake")).await.unwrap();
    assert_eq!(code(nobody.prompt_template(&id("lake")).await), Code::TemplateNotFound);

    let log = log(&world).await;
    let said: Vec<&str> = log.iter().map(|entry| entry.action.as_str()).collect();
    let (create, update) = ("prompt_template.create", "prompt_template.update");
    assert_eq!(said, [create, update, update, "prompt_template.delete"]);
    assert!(log.iter().all(|it| it.target == "prompt_template:lake" && it.actor == ADMIN_NAME));
    let (before, after) = (log[1].before.as_ref().unwrap(), log[1].after.as_ref().unwrap());
    assert_eq!((&before["title"], &after["title"]), (&"Lake".into(), &"Quiet lake".into()));
    assert_eq!(before["prompt"], after["prompt"]);
    assert_eq!((&log[0].before, &log[3].after), (&None, &None));
    world.finish().await;
});

on_every_backend!(what_is_not_there_can_be_neither_changed_nor_removed, |backend| async move {
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    let none = id("none");
    assert_eq!(
        code(admin.update_prompt_template(&none, &PromptPatch::default()).await),
        Code::TemplateNotFound
    );
    assert_eq!(
        code(admin.update_param_template(&none, &ParamPatch::default()).await),
        Code::TemplateNotFound
    );
    assert_eq!(code(admin.delete_prompt_template(&none).await), Code::TemplateNotFound);
    assert_eq!(code(admin.delete_param_template(&none).await), Code::TemplateNotFound);
    assert_eq!(code(world.nobody().count_template_use(&none).await), Code::TemplateNotFound);
    assert!(log(&world).await.is_empty());
    world.finish().await;
});

on_every_backend!(a_batch_is_made_whole_or_not_at_all, |backend| async move {
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    let made = admin.create_prompt_templates(&[prompt("b", "B"), prompt("a", "A")]).await.unwrap();
    assert_eq!(made.iter().map(|it| it.template_id.as_str()).collect::<Vec<_>>(), ["b", "a"]);

    let batch = [prompt("c", "C"), prompt("a", "again"), prompt("d", "D"), prompt("c", "twice")];
    let refused = admin.create_prompt_templates(&batch).await.unwrap_err();
    assert_eq!((refused.code(), taken(&refused)), (Code::TemplateExists, vec!["a", "c"]));
    assert_eq!(titles(&world).await, [("b".into(), "B".into()), ("a".into(), "A".into())]);
    assert_eq!(log(&world).await.len(), 2);
    let refused = admin.create_prompt_template(prompt("a", "again")).await.unwrap_err();
    assert_eq!((refused.code(), taken(&refused)), (Code::TemplateExists, vec!["a"]));
    // The kinds do not get in each other's way.
    admin.create_param_templates(&[params("a", "A"), params("z", "Z")]).await.unwrap();
    let refused = admin.create_param_templates(&[params("y", "Y"), params("z", "Z")]).await.unwrap_err();
    assert_eq!(taken(&refused), ["z"]);
    assert_eq!(world.nobody().param_templates().await.unwrap().len(), 2);

    assert_eq!(code(admin.create_prompt_templates(&[]).await), Code::ValidationFailed);
    assert_eq!(code(admin.create_param_templates(&[]).await), Code::ValidationFailed);
    let many: Vec<_> = (0..101).map(|n| prompt(&format!("p{n}"), "P")).collect();
    assert_eq!(code(admin.create_prompt_templates(&many).await), Code::ValidationFailed);
    assert_eq!(admin.create_prompt_templates(&many[..100]).await.unwrap().len(), 100);
    world.finish().await;
});

on_every_backend!(of_many_that_make_one_id_at_once_one_does, |backend| async move {
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    let tries =
        join_all((0..20).map(|n| admin.create_prompt_template(prompt("one", &format!("by {n}"))))).await;
    assert_eq!(tries.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(tries.into_iter().filter_map(Result::err).all(|error| error.code() == Code::TemplateExists));
    assert_eq!(log(&world).await.len(), 1);
    world.finish().await;
});

on_every_backend!(many_are_removed_at_once_and_counted, |backend| async move {
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    admin.create_param_templates(&[params("a", "A"), params("b", "B"), params("c", "C")]).await.unwrap();
    let gone = admin.delete_param_templates(&[id("c"), id("none"), id("a"), id("c")]).await.unwrap();
    assert_eq!(gone, 2);
    let left = world.nobody().param_templates().await.unwrap();
    assert_eq!(left.iter().map(|it| it.template_id.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(code(admin.delete_param_templates(&[]).await), Code::ValidationFailed);
    assert_eq!(code(admin.delete_prompt_templates(&[]).await), Code::ValidationFailed);
    assert_eq!(admin.delete_prompt_templates(&[id("b")]).await.unwrap(), 0);
    world.finish().await;
});

on_every_backend!(two_hundred_uses_at_once_count_two_hundred, |backend| async move {
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    admin.create_prompt_templates(&[prompt("hot", "Hot"), prompt("cold", "Cold")]).await.unwrap();
    let (nobody, hot) = (world.nobody(), id("hot"));
    let counted = join_all((0..200).map(|_| nobody.count_template_use(&hot))).await;
    assert!(counted.iter().all(Result::is_ok));
    assert_eq!(nobody.prompt_template(&hot).await.unwrap().usage_count, 200);
    assert_eq!(nobody.prompt_template(&id("cold")).await.unwrap().usage_count, 0);
    world.finish().await;
});

on_every_backend!(a_use_is_no_news_but_a_change_is, |backend| async move {
    // News make every node forget its lists: anybody could make them useless by counting uses.
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    let mut news = world.dream().news();
    admin.create_prompt_template(prompt("lake", "Lake")).await.unwrap();
    heard(&mut news, "templates").await;
    world.nobody().count_template_use(&id("lake")).await.unwrap();
    let patch = PromptPatch { title: Some("Sea".parse().unwrap()), ..PromptPatch::default() };
    admin.update_prompt_template(&id("lake"), &patch).await.unwrap();
    admin.delete_prompt_template(&id("lake")).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        match news.recv().await.unwrap() {
            dream_core::ports::Invalidation::Topic(topic) => heard.push(topic),
            dream_core::ports::Invalidation::Everything => panic!("nothing was lost"),
        }
    }
    assert_eq!(heard, ["templates", "templates"]);
    assert!(news.try_recv().is_err());
    world.finish().await;
});

on_every_backend!(a_generation_from_a_template_takes_what_it_gives_and_counts, |backend| async move {
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    admin.create_prompt_template(prompt("lake", "Lake")).await.unwrap();
    let mut set = params("wide", "Wide");
    set.content.aspect_ratio = Some("21:9".parse().unwrap());
    admin.create_param_template(set).await.unwrap();
    let alice = world.alice().await;
    let mut request = polished("a lake at dawn", 1);
    request.template = Some(id("lake"));
    alice.generate(&request).await.unwrap();
    assert_eq!(world.nobody().prompt_template(&id("lake")).await.unwrap().usage_count, 1);
    request.template = Some(id("wide"));
    let job = alice.generate(&request).await.unwrap().job_id;
    assert_eq!(alice.job(&job).await.aspect_ratio.map(dream_core::jobs::AspectRatio::as_str), Some("21:9"));
    request.template = Some(id("none"));
    assert_eq!(code(alice.generate(&request).await), Code::TemplateNotFound);
    world.finish().await;
});

on_every_backend!(an_import_is_planned_shown_and_done_in_one_commit, |backend| async move {
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    admin.create_prompt_templates(&[prompt("a", "A"), prompt("b", "B"), prompt("c", "C")]).await.unwrap();
    admin.create_param_template(params("p", "P")).await.unwrap();
    world.nobody().count_template_use(&id("b")).await.unwrap();
    let here = admin.export_templates().await.unwrap();
    assert!(admin.plan_templates(here.clone(), Unnamed::Remove).await.unwrap().is_empty());

    let wanted = TemplateSet {
        prompts: vec![prompt("a", "A"), prompt("b", "another B"), prompt("d", "D")],
        params: vec![],
    };
    let plan = admin.plan_templates(wanted.clone(), Unnamed::Keep).await.unwrap();
    assert!(plan.prompts.removals.is_empty() && plan.params.is_empty());
    let plan = admin.plan_templates(wanted.clone(), Unnamed::Remove).await.unwrap();
    let prompts = &plan.prompts;
    assert_eq!((prompts.additions.len(), prompts.changes.len(), prompts.unchanged), (1, 1, 1));
    assert_eq!(prompts.removals, [prompt("c", "C")]);
    assert_eq!(plan.params.removals, [params("p", "P")]);
    let fields = prompts.changes[0].fields();
    assert_eq!(fields.iter().map(|it| it.field).collect::<Vec<_>>(), ["title"]);
    assert_eq!(fields[0].after, "another B");
    assert_eq!(admin.export_templates().await.unwrap(), here);

    admin.apply_template_plan(&plan).await.unwrap();
    assert_eq!(admin.export_templates().await.unwrap(), wanted);
    assert_eq!(world.nobody().prompt_template(&id("b")).await.unwrap().usage_count, 1);
    let log = log(&world).await;
    let said: Vec<&str> = log[4..].iter().map(|entry| entry.action.as_str()).collect();
    let (create, update, delete) =
        ("prompt_template.create", "prompt_template.update", "prompt_template.delete");
    assert_eq!(said, [delete, update, create, "param_template.delete"]);
    world.finish().await;
});

on_every_backend!(a_plan_that_is_out_of_date_does_nothing, |backend| async move {
    let world = TestDream::start(&backend).await;
    let admin = world.admin().await;
    admin.create_prompt_templates(&[prompt("a", "A"), prompt("b", "B")]).await.unwrap();
    let wanted =
        || TemplateSet { prompts: vec![prompt("a", "new A"), prompt("c", "C")], ..TemplateSet::default() };
    let retitle = |title: &str| PromptPatch { title: Some(title.parse().unwrap()), ..PromptPatch::default() };

    let plan = admin.plan_templates(wanted(), Unnamed::Remove).await.unwrap();
    admin.update_prompt_template(&id("a"), &retitle("mine")).await.unwrap();
    assert_eq!(code(admin.apply_template_plan(&plan).await), Code::InvalidState);
    let plan = admin.plan_templates(wanted(), Unnamed::Remove).await.unwrap();
    admin.update_prompt_template(&id("b"), &retitle("mine too")).await.unwrap();
    assert_eq!(code(admin.apply_template_plan(&plan).await), Code::InvalidState);
    let plan = admin.plan_templates(wanted(), Unnamed::Remove).await.unwrap();
    admin.create_prompt_template(prompt("c", "mine")).await.unwrap();
    assert_eq!(code(admin.apply_template_plan(&plan).await), Code::InvalidState);
    let there = titles(&world).await;
    let there: Vec<_> = there.iter().map(|(id, title)| (id.as_str(), title.as_str())).collect();
    assert_eq!(there, [("a", "mine"), ("b", "mine too"), ("c", "mine")]);

    let plan = admin.plan_templates(wanted(), Unnamed::Remove).await.unwrap();
    admin.apply_template_plan(&plan).await.unwrap();
    assert_eq!(code(admin.apply_template_plan(&plan).await), Code::InvalidState);
    let twice = TemplateSet { prompts: vec![prompt("x", "X"), prompt("x", "Y")], ..TemplateSet::default() };
    let refused = admin.plan_templates(twice, Unnamed::Keep).await.unwrap_err();
    let Facts::Fields(faults) = refused.facts() else { panic!("{refused:?}") };
    assert_eq!(faults[0].field, "prompts[1].templateId");
    world.finish().await;
});
