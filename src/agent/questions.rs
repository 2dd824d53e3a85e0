//! The gateway's forms as questions to the command line, and the answers back.

use crate::crypto::Secret;
use crate::ike::eap::{Answers, Form, InputKind as FormInput};
use crate::ipc::{Answer, Connect, Input, InputKind, Question};

/// The names under which gateways ask for the group (PROTOCOL section 4).
const GROUP: &str = "group_list";
/// The name under which gateways ask for the user.
const USER: &str = "username";

/// A form that waits for its answers.
#[derive(Debug)]
pub(super) struct Asked {
    id: u64,
    /// What is known without asking.
    known: Answers,
    names: Vec<String>,
}

/// What a form is to a person who has said some things before: the answers, where nothing is left to ask, or a question.
pub(super) enum Step {
    Answer(Answers),
    Ask(Asked, Box<Question>),
}

/// `id`: a new number each time. What `wishes` say is not asked.
pub(super) fn ask(id: u64, form: &Form, wishes: &Connect) -> Step {
    let mut known = Answers::new();
    let mut inputs = Vec::new();
    let mut error = form.error.clone();
    for input in &form.inputs {
        let said = match (input.name.as_str(), &input.kind) {
            (USER, FormInput::Text) => wishes.user.clone(),
            (GROUP, FormInput::Select(options)) => {
                // One that is not offered is none: the person chooses.
                let named = |wish: &String| {
                    options.iter().find(|(value, label, _)| {
                        value.eq_ignore_ascii_case(wish) || label.eq_ignore_ascii_case(wish)
                    })
                };
                wishes.group.as_ref().and_then(named).map(|(value, ..)| value.clone())
            }
            _ => None,
        };
        match said {
            Some(text) => {
                known.insert(input.name.clone(), Secret::from(text.as_bytes()));
            }
            None => inputs.push(question(input)),
        }
        if let (GROUP, Some(asked), Some(group)) = (input.name.as_str(), inputs.last_mut(), &wishes.group)
            && asked.name == GROUP
        {
            // Another one is a choice that nobody has made.
            asked.value.clear();
            if error.is_empty() {
                let offered: Vec<&str> = asked.options.iter().map(|(_, label)| label.as_str()).collect();
                error = format!("There is no group {group}: there are {}.", offered.join(", "));
            }
        }
    }
    if inputs.is_empty() && !form.error.is_empty() {
        // What was said before is what is wrong.
        known.clear();
        inputs.extend(form.inputs.iter().map(question));
    }
    if inputs.is_empty() {
        return Step::Answer(known);
    }
    let names = inputs.iter().map(|input| input.name.clone()).collect();
    let lines = [&form.banner, &form.message];
    let message: Vec<&str> =
        lines.into_iter().map(|text| text.trim()).filter(|text| !text.is_empty()).collect();
    let question = Question {
        id,
        title: form.title.clone(),
        message: message.join("\n"),
        error,
        inputs,
        gateway: String::new(),
        user: wishes.user.clone().unwrap_or_default(),
        form: form.id.clone(),
    };
    Step::Ask(Asked { id, known, names }, Box::new(question))
}

fn question(input: &crate::ike::eap::Input) -> Input {
    let (kind, value, options) = match &input.kind {
        FormInput::Text => (InputKind::Text, String::new(), Vec::new()),
        FormInput::Password => (InputKind::Secret, String::new(), Vec::new()),
        FormInput::Select(options) => {
            let selected = options.iter().find(|(.., selected)| *selected).or(options.first());
            let value = selected.map(|(value, ..)| value.clone()).unwrap_or_default();
            let pairs = options.iter().map(|(value, label, _)| (value.clone(), label.clone())).collect();
            (InputKind::Choice, value, pairs)
        }
    };
    Input { name: input.name.clone(), label: input.label.clone(), kind, value, options }
}

impl Asked {
    /// The answers to the form; `None` where the answer belongs to another question.
    pub(super) fn take(&mut self, answer: &Answer) -> Option<Answers> {
        if answer.id != self.id {
            return None;
        }
        let mut answers = std::mem::take(&mut self.known);
        for (name, typed) in &answer.values {
            if self.names.contains(name) {
                answers.insert(name.clone(), typed.0.clone());
            }
        }
        Some(answers)
    }
}

#[cfg(test)]
mod tests;
