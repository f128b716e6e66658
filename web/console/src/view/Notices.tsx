import { admissionMessage } from "../admission";
import type { Conversation } from "../conversation_state";
import { closeMessage, errorMessage, isOpenElsewhere, reconnectingMessage } from "../error_messages";
import type { ConsoleStore } from "../store";

export function Notices({ store, conversation }: { store: ConsoleStore; conversation: Conversation }) {
  return (
    <div class="notices">
      <ClosedNotice store={store} conversation={conversation} />
      <NoSoundNotice store={store} />
      {conversation.connection.state === "reconnecting" && (
        <p class="notice notice-warning" role="status">
          {reconnectingMessage(conversation.connection.code)}
        </p>
      )}
      {impairments(conversation).map(({ code, text }) => (
        <p class="notice notice-warning notice-service" role="status" key={code}>
          {text}
        </p>
      ))}
      {conversation.admission && (
        <p class="notice notice-admission" role="alert">
          {admissionMessage(conversation.admission)}
        </p>
      )}
      {conversation.recording && <RecordingNotice store={store} name={conversation.recording} />}
      {conversation.notice && (
        <p class="notice" role="alert">
          {conversation.notice}
        </p>
      )}
    </div>
  );
}

function RecordingNotice({ store, name }: { store: ConsoleStore; name: string }) {
  return (
    <section class="notice notice-recording" role="status" aria-label="Recording">
      <p>The anchor hears a recording in the place of the microphone: {name}</p>
      <button
        class="button"
        type="button"
        onClick={() => {
          store.stopRecording();
        }}
      >
        Stop the recording
      </button>
    </section>
  );
}

// The server reports a degradation in the system status and in a notice of the same code; the page shows it once.
function impairments({ degraded, serviceNotices }: Conversation): { code: string; text: string }[] {
  const codes = new Set(degraded.map(({ code }) => code));
  return [
    ...degraded.map(({ code, message }) => ({ code, text: message })),
    ...serviceNotices
      .filter(({ code }) => !codes.has(code))
      .map(({ code, message }) => ({ code, text: errorMessage(code, message) })),
  ];
}

function ClosedNotice({ store, conversation: { connection } }: { store: ConsoleStore; conversation: Conversation }) {
  if (connection.state !== "closed") return null;
  const elsewhere = isOpenElsewhere(connection.code);
  return (
    <section class="notice notice-ending" role="alert" aria-label="The session is closed">
      <p>{closeMessage(connection.code)}</p>
      <div class="actions">
        <button
          class="button button-main"
          type="button"
          onClick={() => {
            store.connect(elsewhere);
          }}
        >
          {elsewhere ? "Take it over here" : "Connect again"}
        </button>
        <button class="button" type="button" onClick={() => void store.startNewConversation()}>
          New conversation
        </button>
      </div>
    </section>
  );
}

function NoSoundNotice({ store: { soundSupport } }: { store: ConsoleStore }) {
  if (soundSupport === "ready") return null;
  if (soundSupport === "unsupported") {
    return (
      <p class="notice notice-warning" role="status">
        This browser cannot use a microphone here. Writing works, and answers come as text. A current Chrome, Edge,
        Firefox or Safari can talk.
      </p>
    );
  }
  const { host } = window.location;
  return (
    <p class="notice notice-warning" role="status">
      No microphone and no sound at this address: browsers allow them only over https, or on the machine itself. Open{" "}
      <b>the https address of the server’s proxy</b> instead of <b>http://{host}</b>, or <b>http://localhost</b> on the
      server. Writing works here, and answers come as text.
    </p>
  );
}
