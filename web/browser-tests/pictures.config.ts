import { defineConfig } from "vitest/config";
import browserTests from "./vitest.config";

export default defineConfig({ test: { ...browserTests.test, include: ["readme_pictures.ts"] } });
