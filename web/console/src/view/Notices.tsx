import type { AnchorDesk } from "../desk";
import { isElsewhere, plainly, whyClosed } from "../plain_words";
import type { Conversation } from "../state";

export function Notices({ desk, conversation }: { desk: AnchorDesk; conversation: Conversation }) {
  return (
    <div class="notices">
      <Ending desk={desk} conversation={conversation} />
      <NoSound desk={desk} />
      {conversation.connection.state === "reconnecting" && (
        <p class="notice notice-warning" role="status">
          The line to the server dropped. It is being tried again; the conversation goes on where it was.
        </p>
      )}
      {impairments(conversation).map(({ code, text }) => (
        <p class="notice notice-warning notice-service" role="status" key={code}>
          {text}
        </p>
      ))}
      {conversation.notice && (
        <p class="notice" role="alert">
          {conversation.notice}
        </p>
      )}
    </div>
  );
}

// A degradation comes twice, in the system status and as a notice of the same code: it is shown once.
function impairments({ degraded, serviceNotices }: Conversation): { code: string; text: string }[] {
  const codes = new Set(degraded.map(({ code }) => code));
  return [
    ...degraded.map(({ code, message }) => ({ code, text: message })),
    ...serviceNotices
      .filter(({ code }) => !codes.has(code))
      .map(({ code, message }) => ({ code, text: plainly(code, message) })),
  ];
}

function Ending({ desk, conversation: { connection } }: { desk: AnchorDesk; conversation: Conversation }) {
  if (connection.state !== "closed") return null;
  const elsewhere = isElsewhere(connection.code);
  return (
    <section class="notice notice-ending" role="alert" aria-label="The session is closed">
      <p>{whyClosed(connection.code)}</p>
      <div class="actions">
        <button
          class="button button-main"
          type="button"
          onClick={() => {
            desk.open(elsewhere);
          }}
        >
          {elsewhere ? "Take it over here" : "Connect again"}
        </button>
        <button class="button" type="button" onClick={() => void desk.beginAnew()}>
          New conversation
        </button>
      </div>
    </section>
  );
}

function NoSound({ desk: { support } }: { desk: AnchorDesk }) {
  if (support === "ready") return null;
  if (support === "unsupported") {
    return (
      <p class="notice notice-warning" role="status">
        This browser has no way to use a microphone here. Writing works, with the answers in text; a current Chrome,
        Edge, Firefox or Safari can talk.
      </p>
    );
  }
  const { host } = window.location;
  return (
    <p class="notice notice-warning" role="status">
      No microphone and no sound at this address: browsers give them only to pages opened over https, or on the machine
      itself. Open <b>the https address of the server’s proxy</b> instead of <b>http://{host}</b>, or{" "}
      <b>http://localhost</b> on the server. Writing works here, with the answers in text.
    </p>
  );
}
