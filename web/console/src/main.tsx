import "./style/base.css";
import "./style/layout.css";
import "./style/captions.css";
import "./style/dock.css";
import "./style/panel.css";
import "./style/dialog.css";
import "./style/welcome.css";
import "./style/chips.css";
import "./style/accessibility.css";
import { socketUrl } from "@ai-anchor/client";
import { render } from "preact";
import { browserStorage } from "./preferences";
import { ConsoleStore } from "./store";
import { App } from "./view/App";

const query = new URLSearchParams(window.location.search);
const overrides = Object.fromEntries(
  (["language", "voice", "persona"] as const).flatMap((name) => {
    const value = query.get(name);
    return value ? [[name, value] as const] : [];
  }),
);
const store = new ConsoleStore(socketUrl(window.location), browserStorage(), overrides);
const root = document.getElementById("app");
if (root) render(<App store={store} />, root);
store.connect();
