import { fileURLToPath } from "node:url";
import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

export default defineConfig({
  // Wherever a proxy puts the page, it finds its own files.
  base: "./",
  plugins: [preact()],
  build: {
    outDir: fileURLToPath(new URL("../dist", import.meta.url)),
    emptyOutDir: true,
    target: "es2022",
    // The page's policy allows no script from a data: address, and worklets must be files.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
  server: {
    // `npm run dev` beside a running mesh.
    proxy: { "/ws": { target: "http://127.0.0.1:8080", ws: true } },
  },
});
