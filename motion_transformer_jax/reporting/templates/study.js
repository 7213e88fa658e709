"use strict";

const study = JSON.parse(document.getElementById("study").textContent);
const total = study.questions.length;
const memoryKey = `preference-study-${study.study}`;
const element = (id) => document.getElementById(id);
const [video, left, right] = ["video", "left", "right"].map(element);
const shownChoiceMs = 250;

function newState() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  const participant = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { participant, answers: {}, current: 0, started: false };
}

function remember() {
  try {
    localStorage.setItem(memoryKey, JSON.stringify(state));
  } catch {
    element("forgetful").hidden = false;
  }
}

function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(memoryKey));
    return kept?.participant && kept.answers ? kept : newState();
  } catch {
    return newState();
  }
}

let state = recall();
let shownAt = 0;
let advancing = 0;
let address = "";

const answered = () => study.questions.filter((question) => question.id in state.answers).length;

function showSection(name) {
  for (const id of ["intro", "question", "end"]) element(id).hidden = id !== name;
}

function mark(choice) {
  for (const button of [left, right]) button.setAttribute("aria-pressed", String(button.id === choice));
}

function allow(choosing) {
  left.disabled = right.disabled = !choosing;
}

/** Videos come out of the page as files in memory: some browsers do not play data addresses. */
function load(base64) {
  URL.revokeObjectURL(address);
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  address = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
  video.src = address;
  setPaused(false);
}

function setPaused(paused) {
  // Refused where a browser wants a tap first: the button then says so.
  if (paused) video.pause();
  else video.play().catch(() => video.paused && showPaused(true));
  showPaused(paused);
}

function showPaused(paused) {
  element("pause").textContent = paused ? "Play" : "Pause";
  element("pause").setAttribute("aria-pressed", String(paused));
}

function showQuestion(index) {
  clearTimeout(advancing);
  state.current = index;
  state.started = true;
  remember();
  if (index >= total) return showEnd();
  const question = study.questions[index];
  showSection("question");
  element("count").textContent = `${index + 1} of ${total}`;
  element("progress").value = answered();
  element("back").disabled = index === 0;
  element("next").disabled = !(question.id in state.answers);
  mark(state.answers[question.id]?.choice);
  allow(false); // until the video plays: nobody chooses what was not seen
  load(question.video);
}

function showEnd() {
  clearTimeout(advancing);
  video.pause();
  showSection("end");
  const count = answered();
  element("thanks").textContent = count === total ? "Thank you" : "Not all questions are answered";
  element("answered").textContent = `You answered ${count} of ${total} questions.`;
  element("download").disabled = count === 0;
  element("anew").hidden = true;
  element("thanks").focus();
}

function choose(button) {
  if (element("question").hidden || button.disabled) return;
  allow(false);
  mark(button.id);
  const seconds = Math.round((performance.now() - shownAt) / 10) / 100;
  state.answers[study.questions[state.current].id] = { choice: button.id, seconds };
  remember();
  advancing = setTimeout(() => showQuestion(state.current + 1), shownChoiceMs);
}

function goBack() {
  if (!element("question").hidden && state.current > 0) showQuestion(state.current - 1);
}

function download() {
  const answers = study.questions
    .filter((question) => question.id in state.answers)
    .map((question) => ({ question: question.id, ...state.answers[question.id] }));
  const content = {
    format: study.format, study: study.study, seed: study.seed, participant: state.participant,
    finished: answers.length === total, answers,
  };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2)], { type: "application/json" }));
  link.download = `answers-${study.study}-${state.participant.slice(0, 8)}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  element("anew").hidden = answers.length < total;
}

video.addEventListener("playing", () => {
  if (left.disabled) shownAt = performance.now();
  allow(true);
});
video.addEventListener("error", () => { element("trouble").hidden = false; });
left.addEventListener("click", () => choose(left));
right.addEventListener("click", () => choose(right));
element("start").addEventListener("click", () => showQuestion(0));
element("back").addEventListener("click", goBack);
element("next").addEventListener("click", () => showQuestion(state.current + 1));
element("pause").addEventListener("click", () => setPaused(!video.paused));
element("stop").addEventListener("click", showEnd);
element("resume").addEventListener("click", () => {
  const open = study.questions.findIndex((question) => !(question.id in state.answers));
  showQuestion(open < 0 ? total - 1 : open);
});
element("download").addEventListener("click", download);
element("anew").addEventListener("click", () => {
  state = newState();
  remember();
  start();
});

const keys = {
  ArrowLeft: () => choose(left), 1: () => choose(left),
  ArrowRight: () => choose(right), 2: () => choose(right),
  Backspace: goBack, p: () => element("pause").click(),
};
document.addEventListener("keydown", (event) => {
  if (element("question").hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

function start() {
  if (state.started) return showQuestion(state.current);
  showSection("intro");
  element("start").focus();
}

start();
