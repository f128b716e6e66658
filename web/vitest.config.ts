import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["client/tests/**/*.test.ts", "console/tests/**/*.test.{ts,tsx}"],
    coverage: { provider: "v8", include: ["client/src/**", "console/src/**"], exclude: ["client/src/protocol/**"] },
  },
});
