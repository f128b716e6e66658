import "./style/base.css";
import "./style/layout.css";
import "./style/captions.css";
import "./style/dock.css";
import "./style/panel.css";
import "./style/dialog.css";
import { socketUrl } from "@ai-anchor/client";
import { render } from "preact";
import { AnchorDesk } from "./desk";
import { browserStorage } from "./preferences";
import { App } from "./view/App";

const query = new URLSearchParams(window.location.search);
const asked = Object.fromEntries(
  (["language", "voice", "persona"] as const).flatMap((name) => {
    const value = query.get(name);
    return value ? [[name, value] as const] : [];
  }),
);
const desk = new AnchorDesk(socketUrl(window.location), browserStorage(), asked);
const root = document.getElementById("app");
if (root) render(<App desk={desk} />, root);
desk.open();
