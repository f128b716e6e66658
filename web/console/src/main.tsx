import { encode } from "@ai-anchor/client";
import { render } from "preact";

const root = document.getElementById("app");
if (root) render(<p>{encode({ case: "interrupt", value: {} })}</p>, root);
