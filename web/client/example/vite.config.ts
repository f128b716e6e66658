import { defineConfig } from "vite";

// The mesh that the page talks with; its socket stands under the page's own address, as the browser's policy wants it.
const mesh = process.env["ANCHOR_URL"] ?? "http://127.0.0.1:8080";
const proxy = { "/ws": { target: mesh, ws: true } };

export default defineConfig({
  build: { outDir: "../../../run/client-example", emptyOutDir: true, target: "es2022", assetsInlineLimit: 0 },
  worker: { format: "es" },
  server: { proxy },
  preview: { proxy },
});
