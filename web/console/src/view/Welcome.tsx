import { abilityLine, isUnderstood } from "../abilities";
import type { Conversation } from "../conversation_state";
import { machineLine } from "../machine_line";
import type { TalkMode } from "../phase";
import { questionsIn } from "../sample_questions";

interface WelcomeProps {
  conversation: Conversation;
  mode: TalkMode;
  /** Sends a question that was clicked; without it, none are offered. */
  onAsk?: ((question: string) => void) | undefined;
}

/** The first screen: who this is, what to ask, how to talk, and what runs here. */
export function Welcome({ conversation, mode, onAsk }: WelcomeProps) {
  const { choices, settings, resumed, retentionDays, services, connection } = conversation;
  const persona = choices?.personas.find(({ id }) => id === settings?.persona);
  const name = persona?.name ?? "";
  const language = settings?.language ?? "";
  const about = name ? abilityLine(name, services, choices) : "";
  const samples = questionsIn(choices, language);
  const machine = machineLine(services);
  return (
    <div class="welcome">
      <p class="welcome-line">{name ? `Hello, I am ${name}, a computer voice.` : "Talk with a computer voice."}</p>
      {persona?.description && <p class="welcome-about">{persona.description}</p>}
      {samples && onAsk && (
        <section class="welcome-questions" aria-label="Questions to begin with">
          <p class="welcome-how">Ask me, for example:</p>
          <ul>
            {samples.questions.map((question) => (
              <li key={question}>
                <button
                  class="button question"
                  type="button"
                  lang={samples.language}
                  disabled={connection.state !== "open"}
                  onClick={() => {
                    onAsk(question);
                  }}
                >
                  {question}
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
      <p class={resumed ? "welcome-how" : "welcome-how welcome-start"}>
        {resumed
          ? "Your conversation continues where it stopped."
          : instructions(mode, isUnderstood(services, language))}
      </p>
      {about && <p class="welcome-ability">{about}</p>}
      {machine && <p class="welcome-machine">{machine}</p>}
      {retentionDays !== null && <p class="welcome-kept">{retentionLine(retentionDays)}</p>}
    </div>
  );
}

function instructions(mode: TalkMode, isUnderstoodHere: boolean): string {
  if (!isUnderstoodHere) return "Write your question below: in this language, speech is not understood here.";
  return mode === "push"
    ? "Hold the button while you speak. Or write, where it is quiet."
    : "Press the button and speak; a pause ends your turn. Or write, where it is quiet.";
}

function retentionLine(days: number): string {
  if (days === 0) return "Nothing of the conversation is stored.";
  return `The conversation's text is stored on the server for ${days === 1 ? "a day" : `${days} days`}, its sound never.`;
}
