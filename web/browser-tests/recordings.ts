/** Builds WAV files that Chromium plays as the microphone. */
import { readFileSync, writeFileSync } from "node:fs";
import { PROJECT, RUN } from "./mesh";

export const RATE_HZ = 16_000;
const HEADER_BYTES = 44;

/** PCM of `seconds` of silence. */
export function silence(seconds: number): Buffer {
  return Buffer.alloc(Math.round(seconds * RATE_HZ) * 2);
}

/** PCM of a recorded question in content/questions, by file name. */
export function question(name: string): Buffer {
  return readPcm(readFileSync(`${PROJECT}content/questions/${name}.wav`));
}

/** Writes a WAV file of `parts`. Returns its path. */
export function writeMicrophone(name: string, ...parts: Buffer[]): string {
  const pcm = Buffer.concat(parts);
  const header = Buffer.alloc(HEADER_BYTES);
  header.write("RIFF", 0);
  header.writeUInt32LE(36 + pcm.length, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(RATE_HZ, 24);
  header.writeUInt32LE(RATE_HZ * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36);
  header.writeUInt32LE(pcm.length, 40);
  const path = `${RUN}${name}.wav`;
  writeFileSync(path, Buffer.concat([header, pcm]));
  return path;
}

function readPcm(wav: Buffer): Buffer {
  const channels = wav.readUInt16LE(22);
  const rateHz = wav.readUInt32LE(24);
  if (channels !== 1 || rateHz !== RATE_HZ) throw new Error(`${channels} channels of ${rateHz} Hz`);
  let at = 12;
  while (wav.toString("latin1", at, at + 4) !== "data") at += 8 + wav.readUInt32LE(at + 4);
  return wav.subarray(at + 8, at + 8 + wav.readUInt32LE(at + 4));
}
