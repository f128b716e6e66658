import { defineConfig } from "vite";

// The mesh. Its WebSocket is proxied, so that it has the page's origin.
const mesh = process.env["ANCHOR_URL"] ?? "http://127.0.0.1:8080";
const proxy = { "/ws": { target: mesh, ws: true } };

export default defineConfig({
  build: { outDir: "../../../run/client-example", emptyOutDir: true, target: "es2022", assetsInlineLimit: 0 },
  worker: { format: "es" },
  server: { proxy },
  preview: { proxy },
});
