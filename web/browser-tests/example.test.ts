import { readFileSync } from "node:fs";
import { expect, inject, test } from "vitest";
import { visit } from "./browser";
import { fidelity, messages, soundsFor, until } from "./hearing";
import { PROJECT } from "./mesh";
import { microphone, question, silence } from "./recordings";

test("the example of the client library holds a spoken turn, heard as it was sent", async () => {
  const wav = microphone("one-question", silence(1), question("demo"), silence(40));
  const { page } = await visit(inject("examplePort"), { microphone: wav });
  await page.getByRole("button", { name: "Talk" }).click();
  await until(page, "turn_committed");
  await soundsFor(page, 3);
  const captions = page.getByRole("list", { name: "Captions" }).getByRole("listitem");
  expect(await captions.count()).toBe(2);
  const weather = readFileSync(`${PROJECT}content/knowledge/weekend-weather.md`, "utf-8").replace(/\s+/g, " ");
  const reply = (await captions.nth(1).textContent()) ?? "";
  const told = reply.split(/(?<=\.) /).filter((sentence) => weather.includes(sentence));
  expect(told.length).toBeGreaterThan(0);
  const { samples, difference, broken } = await fidelity(page);
  expect(samples).toBeGreaterThan(2.5 * 24_000);
  expect(difference).toBeLessThan(0.0001);
  expect(broken).toBe(0);
  expect(await messages(page, "error")).toEqual([]);
});
