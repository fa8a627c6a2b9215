//! The page at `/`, in a browser.

use patchcord_tests::Reader;

use crate::stage::Stage;

/// Whoever looks at the page while calls go on sees what becomes of them, without touching it.
#[test]
fn the_page_shows_a_transfer_as_it_goes_on_and_why_it_failed() {
    let mut stage = Stage::new();
    let mut page = Reader::open("page", stage.relay.client().base());
    page.must_say("live");
    page.must_say("There has been none yet.");
    page.value("window.notReloaded = true");

    let (mut caller, mut agent) = stage.talking();
    page.must_say(caller.call.id());
    stage.refer(&mut agent, "<tel:+15550166>");
    let (inbound, _) = stage.target.ring();
    page.must_say("ringing tel:+15550166");
    page.value("document.querySelector('#transfers a').click()");
    page.must_say("caller to tel:+15550166: ringing");
    stage.target.respond(&inbound, "486 Busy Here", "");
    let _ack = stage.target.must_take("ACK");
    stage.must_be_notified("SIP/2.0 486 Busy Here\r\n", "terminated;reason=noresource");
    page.must_say("caller to tel:+15550166: failed");
    page.must_say("was answered with 486 Busy Here");
    page.must_say("ask the carrier for its geographic permissions");

    let labels = "[...document.querySelectorAll('.ladder .message text:not(.faint)')].map((text) => text.textContent)";
    page.wait_until(&format!("{labels}.includes('NOTIFY: 486 Busy Here')"));
    let labels = page.value(labels);
    let labels: Vec<_> = labels.as_array().unwrap().iter().filter_map(|label| label.as_str()).collect();
    let place = |label| labels.iter().position(|one| *one == label).unwrap_or_else(|| panic!("{label}: {labels:?}"));
    let told = [
        "INVITE + SDP",
        "REFER",
        "202 Accepted (REFER)",
        "NOTIFY: 100 Trying",
        "486 Busy Here (INVITE)",
        "NOTIFY: 486 Busy Here",
    ];
    assert!(told.map(place).is_sorted(), "{labels:?}");
    page.value("[...document.querySelectorAll('.message')].find((one) => one.textContent.includes('REFER')).dispatchEvent(new Event('click'))");
    page.must_say("Refer-To: <tel:+15550166>");

    let heard =
        "[...document.querySelectorAll('.timeline .heard title')].map((title) => title.textContent).join('\\n')";
    page.wait_until(&format!("{heard}.includes('caller hears hold audio')"));
    assert_eq!(page.value("window.notReloaded"), true, "nobody has loaded it again");

    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    page.must_say("There is none.");
    stage.must_be_idle();
}

/// Markup in a message is text, and what the page loads is the server's own.
#[test]
fn markup_in_a_message_does_nothing() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    let evil = "<script>window.evil = 1</script><img src=x onerror='window.evil = 2'>";
    stage.agent.request(&mut agent.call, "REFER", "", &format!("Refer-To: <tel:+15550166>\r\nX-Evil: {evil}\r\n"));
    stage.agent.must_be_answered(&agent.call, "REFER", 202);
    stage.must_be_notified("SIP/2.0 100 Trying\r\n", "active");
    let (inbound, _) = stage.target.ring();
    stage.target.respond(&inbound, &format!("486 {evil}"), "");
    let _ack = stage.target.must_take("ACK");
    stage.must_be_notified(&format!("SIP/2.0 486 {evil}\r\n"), "terminated;reason=noresource");
    let mut page = Reader::open("page-markup", stage.relay.client().base());
    page.must_say("failed tel:+15550166");
    page.value("document.querySelector('#transfers a').click()");
    page.must_say(&format!("was answered with 486 {evil}"));
    page.wait_until("document.querySelectorAll('.ladder .message').length > 5");
    page.value("document.querySelectorAll('.message').forEach((one) => one.dispatchEvent(new Event('click')))");
    page.value("document.querySelector('.message').dispatchEvent(new Event('click'))");
    page.must_say("v=0");
    assert_eq!(page.value("window.evil ?? null"), serde_json::Value::Null);
    assert_eq!(page.value("document.images.length"), 0);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
}
