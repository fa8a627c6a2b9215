//! Answers in XML: `<Response>` with one verb, as known from telephony platforms. There are no DTDs, and so no entities but the five of XML.

use roxmltree::{Document, Node, ParsingOptions};

use super::answer::{Answer, AnswerError, Said, dial, refuse};

/// Elements, texts and comments of an answer; that bounds how deep they are nested, too.
const NODES_MAX: u32 = 256;

pub(super) fn read(text: &str) -> Result<Answer, AnswerError> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| AnswerError::new(format!("XML: {error} at {}", error.pos())))?;
    let root = document.root_element();
    if root.tag_name().name() != "Response" {
        return Err(wrong(root, "the outermost element is <Response>"));
    }
    no_text(root)?;
    let mut ignored = attributes(root, &[]);
    let mut verbs = root.children().filter(Node::is_element);
    let verb = verbs.next().ok_or_else(|| wrong(root, "it has <Dial> or <Reject> in it"))?;
    if let Some(more) = verbs.next() {
        return Err(wrong(more, "a <Response> has one verb"));
    }
    let decision = match verb.tag_name().name() {
        "Dial" => {
            ignored.extend(attributes(verb, &["callerId", "timeout"]));
            dial(dialled(verb, &mut ignored)?)?
        }
        "Reject" => {
            ignored.extend(attributes(verb, &["reason"]));
            match verb.attribute("reason") {
                Some("busy") => refuse(486, None)?,
                Some("rejected") | None => refuse(603, None)?,
                Some(_) => return Err(wrong(verb, "its reason is busy or rejected")),
            }
        }
        _ => return Err(wrong(verb, "the verbs that are known here are <Dial> and <Reject>")),
    };
    Ok(Answer { decision, ignored })
}

fn dialled(verb: Node<'_, '_>, ignored: &mut Vec<Box<str>>) -> Result<Said, AnswerError> {
    let ring_s = verb.attribute("timeout").map(str::parse).transpose();
    let mut said = Said {
        caller_id: verb.attribute("callerId").map(str::to_owned),
        ring_s: ring_s.map_err(|_| wrong(verb, "its timeout is a number of seconds"))?,
        ..Said::default()
    };
    for child in verb.children().filter(Node::is_element) {
        if !matches!(child.tag_name().name(), "Number" | "Sip") {
            return Err(wrong(child, "a <Dial> has <Number> and <Sip>"));
        }
        ignored.extend(attributes(child, &[]));
        said.targets.push(text_of(child)?);
    }
    if said.targets.is_empty() {
        said.targets.push(text_of(verb)?);
    } else {
        no_text(verb)?;
    }
    Ok(said)
}

/// The text of an element that has no other elements.
fn text_of(node: Node<'_, '_>) -> Result<String, AnswerError> {
    if let Some(child) = node.children().find(Node::is_element) {
        return Err(wrong(child, "there is only text here"));
    }
    let text: String = node.children().filter(Node::is_text).filter_map(|text| text.text()).collect();
    let text = text.trim();
    if text.is_empty() { Err(wrong(node, "there is nobody in it")) } else { Ok(text.to_owned()) }
}

fn no_text(node: Node<'_, '_>) -> Result<(), AnswerError> {
    let is_text = |child: &Node<'_, '_>| child.is_text() && child.text().is_some_and(|text| !text.trim().is_empty());
    node.children().find(is_text).map_or(Ok(()), |_| Err(wrong(node, "there is text between its elements")))
}

/// Attributes that have no effect.
fn attributes(node: Node<'_, '_>, known: &[&str]) -> Vec<Box<str>> {
    let element = node.tag_name().name();
    let others = node.attributes().filter(|attribute| !known.contains(&attribute.name()));
    others.map(|attribute| format!("{} of <{element}>", attribute.name()).into()).collect()
}

fn wrong(node: Node<'_, '_>, why: &str) -> AnswerError {
    let place = node.document().text_pos_at(node.range().start);
    let name: String = node.tag_name().name().chars().take(40).collect();
    AnswerError::new(format!("XML: <{name}> at {place}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::words::Decision;

    #[test]
    fn the_verbs_are_read() {
        for (text, said) in [
            ("<Response><Dial>+15550199</Dial></Response>", "dial +15550199"),
            (
                "<Response><Dial><Sip>sip:a@b.example?X-A=b&amp;X-C=d</Sip></Dial></Response>",
                "dial sip:a@b.example?X-A=b&X-C=d",
            ),
            ("<Response><Dial><Number><![CDATA[+1555]]></Number></Dial></Response>", "dial +1555"),
            ("<Response><Reject/></Response>", "refuse 603 Decline"),
            ("<Response><Reject reason='busy'/></Response>", "refuse 486 Busy Here"),
        ] {
            assert_eq!(read(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_string(), said);
        }
        let answer =
            read("<Response a='1'><Dial record='x' timeout='5'><Number b='2'>+1555</Number></Dial></Response>");
        let answer = answer.expect("an answer");
        assert_eq!(answer.ignored, ["a of <Response>".into(), "record of <Dial>".into(), "b of <Number>".into()]);
        assert!(matches!(answer.decision, Decision::Dial { .. }));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let laughs = "<!DOCTYPE a [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;\">]>\
                      <Response><Dial>&c;</Dial></Response>";
        let outside = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><Response><Dial>&x;</Dial></Response>";
        let deep = "<a>".repeat(20_000);
        let wide = format!("<Response><Dial>{}</Dial></Response>", "<Number>+1</Number>".repeat(3000));
        let fields = format!("<Response {}/>", (0..6000).map(|at| format!("a{at}='' ")).collect::<String>());
        for (text, why) in [
            (laughs, "DTD"),
            (outside, "DTD"),
            (&deep, "nodes"),
            (&wide, "nodes"),
            (&fields, "<Dial>"),
            ("<Response><Dial>&c;</Dial></Response>", "entity"),
            ("<Response/>", "<Dial> or <Reject>"),
            ("<Response>+1555</Response>", "text"),
            ("<Response><Say>hello</Say><Dial>+1555</Dial></Response>", "one verb"),
            ("<Response><Play>x.mp3</Play></Response>", "<Play> at 1:11"),
            ("<Answer><Dial>+1555</Dial></Answer>", "<Answer>"),
            ("<Response><Dial/></Response>", "nobody"),
            ("<Response><Dial>+1555<Sip>sip:a@b</Sip></Dial></Response>", "text"),
            ("<Response><Dial><Client>a</Client></Dial></Response>", "<Client>"),
            ("<Response><Dial><Number>+1<b>5</b></Number></Dial></Response>", "only text"),
            ("<Response><Dial timeout='soon'>+1555</Dial></Response>", "seconds"),
            ("<Response><Dial timeout='601'>+1555</Dial></Response>", "600"),
            ("<Response><Dial>nobody there</Dial></Response>", "nobody there"),
            ("<Response><Reject reason='tired'/></Response>", "busy or rejected"),
            ("<Response><Dial>+1555</Dial>", "XML"),
            ("<Response><Dial>+1555</Response>", "XML"),
        ] {
            let error = read(text).expect_err("no answer").to_string();
            assert!(error.to_lowercase().contains(&why.to_lowercase()), "{text:.80}: {error}");
        }
    }
}
