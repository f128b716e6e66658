import { fileURLToPath } from "node:url";
import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

export default defineConfig({
  // Relative URLs, so that a proxy can serve the page under any path.
  base: "./",
  plugins: [preact()],
  build: {
    outDir: fileURLToPath(new URL("../dist", import.meta.url)),
    emptyOutDir: true,
    target: "es2022",
    // The content security policy blocks data: scripts, so worklets must be files.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: ["index.html", "captions.html"].map((page) => fileURLToPath(new URL(page, import.meta.url))),
    },
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
  server: {
    // For `npm run dev` next to a running mesh.
    proxy: { "/conversation": "http://127.0.0.1:8080", "/ws": { target: "http://127.0.0.1:8080", ws: true } },
  },
});
