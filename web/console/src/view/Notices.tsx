import { talkRefusal } from "../abilities";
import { admissionMessage } from "../admission";
import type { Conversation } from "../conversation_state";
import {
  closeMessage,
  errorMessage,
  isOpenElsewhere,
  reconnectingMessage,
  saysLanguageIsUnsupported,
} from "../error_messages";
import { returnLabel } from "../phase";
import type { ConsoleStore } from "../store";
import { useClosedNotices } from "../use_closed_notices";
import { ClosableNotice } from "./ClosableNotice";

export function Notices({ store, conversation }: { store: ConsoleStore; conversation: Conversation }) {
  const { open, close } = useClosedNotices(standingNotices(conversation));
  const { notice } = conversation;
  const isSaid = talkRefusal(conversation) !== "" && saysLanguageIsUnsupported(notice);
  return (
    <div class="notices">
      <ClosedNotice store={store} conversation={conversation} />
      <NoSoundNotice store={store} />
      {/* Pressing Talk says the same as an alert. */}
      {open
        .filter(({ text }) => text !== notice)
        .map(({ id, text, kind }) => (
          <ClosableNotice
            key={id}
            role="status"
            kind={kind}
            warning
            onClose={() => {
              close(id);
            }}
          >
            {text}
          </ClosableNotice>
        ))}
      {conversation.admission && (
        <p class="notice notice-admission" role="alert">
          {admissionMessage(conversation.admission)}
        </p>
      )}
      {conversation.recording && <RecordingNotice store={store} name={conversation.recording} />}
      {notice && !isSaid && (
        <ClosableNotice
          role="alert"
          onClose={() => {
            // What stands below it for the same reason is closed with it.
            if (open.some(({ id }) => id === notice)) close(notice);
            store.dismissNotice();
          }}
        >
          {notice}
        </ClosableNotice>
      )}
    </div>
  );
}

interface Standing {
  id: string;
  text: string;
  kind: string;
}

/** What holds at present, each until it is over: the lost connection, the language, what is impaired. */
function standingNotices(conversation: Conversation): Standing[] {
  const { connection } = conversation;
  const refusal = talkRefusal(conversation);
  return [
    ...(connection.state === "reconnecting"
      ? [{ id: "reconnecting", text: reconnectingMessage(connection.code), kind: "" }]
      : []),
    ...(refusal ? [{ id: refusal, text: refusal, kind: "notice-language" }] : []),
    ...impairments(conversation).map(({ code, text }) => ({ id: `${code} ${text}`, text, kind: "notice-service" })),
  ];
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
function impairments({ connection, degraded, serviceNotices }: Conversation): { code: string; text: string }[] {
  // They come again with the connection, where they still hold.
  if (connection.state === "closed" || connection.state === "reconnecting") return [];
  const codes = new Set(degraded.map(({ code }) => code));
  return [
    ...degraded.map(({ code, message }) => ({ code, text: message })),
    ...serviceNotices
      .filter(({ code }) => !codes.has(code))
      .map(({ code, message }) => ({ code, text: errorMessage(code, message) })),
  ];
}

function ClosedNotice({ store, conversation }: { store: ConsoleStore; conversation: Conversation }) {
  const { connection, microphoneReason } = conversation;
  if (connection.state !== "closed") return null;
  const elsewhere = isOpenElsewhere(connection.code);
  return (
    <section class="notice notice-ending" role="alert" aria-label="The session is closed">
      <p>
        {closeMessage(connection.code)}
        {microphoneReason === "ended" && " The microphone is closed."}
      </p>
      <div class="actions">
        <button
          class="button button-main"
          type="button"
          onClick={() => {
            store.connect(elsewhere);
          }}
        >
          {returnLabel(connection)}
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
