use super::*;
use crate::ike::eap::Input as FormField;
use crate::ipc::message::Typed;

fn field(name: &str, kind: FormInput) -> FormField {
    FormField { name: name.into(), label: name.into(), kind }
}

fn form(error: &str, inputs: Vec<FormField>) -> Form {
    Form {
        id: "main".into(),
        title: String::new(),
        message: "Please log in".into(),
        banner: String::new(),
        error: error.into(),
        inputs,
    }
}

fn login(error: &str) -> Form {
    let groups = vec![("a".to_owned(), "Sales".to_owned(), false), ("b".to_owned(), "Lab".to_owned(), true)];
    form(
        error,
        vec![
            field("group_list", FormInput::Select(groups)),
            field("username", FormInput::Text),
            field("password", FormInput::Password),
        ],
    )
}

fn wishes(user: Option<&str>, group: Option<&str>) -> Connect {
    Connect { user: user.map(Into::into), group: group.map(Into::into), ..Connect::default() }
}

fn names(question: &Question) -> Vec<&str> {
    question.inputs.iter().map(|input| input.name.as_str()).collect()
}

#[test]
fn what_was_said_is_not_asked_and_goes_with_the_answers() {
    let Step::Ask(mut asked, question) = ask(7, &login(""), &wishes(Some("test"), Some("sales"))) else {
        panic!()
    };
    assert_eq!(names(&question), ["password"]);
    let typed = |text: &str| Typed(Secret::from(text.as_bytes()));
    let values =
        [("password", "cisco"), ("sneaked_in", "x")].map(|(name, text)| (name.to_owned(), typed(text)));
    let old = Answer { id: 6, values: values.clone().into() };
    assert_eq!(asked.take(&old), None);
    let answers = asked.take(&Answer { id: 7, values: values.into() }).unwrap();
    let given: Vec<_> = answers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(given, [("group_list", &b"a"[..]), ("password", b"cisco"), ("username", b"test")]);
}

#[test]
fn the_first_choice_is_the_gateways() {
    let Step::Ask(_, question) = ask(1, &login(""), &wishes(None, None)) else { panic!() };
    assert_eq!(names(&question), ["group_list", "username", "password"]);
    assert_eq!(question.inputs[0].value, "b");
    assert_eq!(question.inputs[0].options[0], ("a".to_owned(), "Sales".to_owned()));
}

#[test]
fn a_form_whose_every_answer_is_known_is_asked_only_where_they_were_wrong() {
    let name = |error| form(error, vec![field("username", FormInput::Text)]);
    assert!(
        matches!(ask(1, &name(""), &wishes(Some("test"), None)), Step::Answer(answers) if answers.len() == 1)
    );
    let Step::Ask(_, question) = ask(2, &name("unknown user"), &wishes(Some("test"), None)) else { panic!() };
    assert_eq!((names(&question), question.error.as_str()), (vec!["username"], "unknown user"));
}

#[test]
fn an_empty_form_is_no_question() {
    assert!(
        matches!(ask(1, &form("", Vec::new()), &wishes(None, None)), Step::Answer(answers) if answers.is_empty())
    );
}

#[test]
fn a_group_that_is_not_offered_is_asked_for() {
    let Step::Ask(_, question) = ask(1, &login(""), &wishes(Some("test"), Some("Managers"))) else {
        panic!()
    };
    assert_eq!(names(&question), ["group_list", "password"]);
    let group = &question.inputs[0];
    assert_eq!((group.value.as_str(), group.options.len()), ("", 2), "no other one is chosen by silence");
    assert_eq!(question.error, "There is no group Managers: there are Sales, Lab.");
}
