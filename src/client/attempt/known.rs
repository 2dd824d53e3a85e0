//! The answers of a login, kept for one that is begun again.

use crate::ike::eap::{Answers, Form};

/// Keeps what was answered to `form`. One with an error asks for something anew: the value that was refused is replaced also
/// where it was part of a larger form, which the next login begins with.
pub(super) fn keep(known: &mut Vec<(Form, Answers)>, form: Form, answers: Answers) {
    let shares = |(old, _): &(Form, Answers)| {
        form.inputs.iter().any(|input| old.inputs.iter().any(|other| other.name == input.name))
    };
    let refused = known.iter().rposition(shares).filter(|_| !form.error.is_empty());
    if let Some((old, values)) = refused.and_then(|at| known.get_mut(at)) {
        let asked = |name: &String| old.inputs.iter().any(|input| input.name == *name);
        values.extend(answers.into_iter().filter(|(name, _)| asked(name)));
        return;
    }
    known.retain(|(old, _)| !old.same_question(&form));
    known.push((form, answers));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;
    use crate::ike::eap::{Input, InputKind};

    fn form(names: &[&str], error: &str) -> Form {
        let input =
            |name: &&str| Input { name: (*name).into(), label: String::new(), kind: InputKind::Password };
        let inputs = names.iter().map(input).collect();
        let none = String::new;
        Form {
            id: "main".into(),
            title: none(),
            message: none(),
            banner: none(),
            error: error.into(),
            inputs,
        }
    }

    fn typed(values: &[(&str, &str)]) -> Answers {
        values.iter().map(|(name, value)| ((*name).into(), Secret::from(value.as_bytes()))).collect()
    }

    #[test]
    fn a_refused_value_is_not_kept_in_the_form_that_it_came_from() {
        let mut known = Vec::new();
        keep(
            &mut known,
            form(&["username", "password"], ""),
            typed(&[("username", "anna"), ("password", "1")]),
        );
        for again in ["2", "3"] {
            keep(&mut known, form(&["password"], "wrong"), typed(&[("password", again)]));
            let expected = typed(&[("username", "anna"), ("password", again)]);
            assert_eq!(known, [(form(&["username", "password"], ""), expected)]);
        }
        // What is refused is what was given last: the password before the code is right.
        keep(&mut known, form(&["password"], ""), typed(&[("password", "code")]));
        keep(&mut known, form(&["password"], "wrong"), typed(&[("password", "another code")]));
        let values: Vec<_> = known.iter().map(|(_, values)| values["password"].expose()).collect();
        assert_eq!(values, [&b"3"[..], b"another code"]);
    }
}
