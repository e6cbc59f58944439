// Owns: requests to the Kubernetes API and who asks: the token lives in this tab's sessionStorage and goes out in a
// header, never in a cookie or an address. It must not know what is shown.

const place = "stint-token";
let token = sessionStorage.getItem(place) ?? "";
const reviews = new Map();

/** What the API refused, in its own words. */
export class Refusal extends Error {
  constructor(code, message, reason = "") {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

/** Remembers a token for this tab; an empty one forgets it. */
export function setToken(value) {
  token = value;
  reviews.clear();
  if (value) sessionStorage.setItem(place, value);
  else sessionStorage.removeItem(place);
}

/** What is known of the cluster. */
export const cluster = { isStint: false };

export const hasToken = () => token !== "";

// A tab that is opened beside this one asks for the token: only pages of this very place hear each other.
const tabs = new BroadcastChannel("stint");
tabs.onmessage = ({ data }) => {
  if (data.ask && token) tabs.postMessage({ token });
};

/** The token of another tab of this place, if there is one. */
export function askTabs() {
  return new Promise((done) => {
    const ear = new BroadcastChannel("stint");
    const finish = (value) => {
      ear.close();
      done(value);
    };
    ear.onmessage = ({ data }) => {
      if (data.token) finish(data.token);
    };
    ear.postMessage({ ask: true });
    setTimeout(finish, 150, "");
  });
}

/** Sends a request; the answer is whole or streams. Refusals are thrown. */
export async function send(method, path, { body, type = "application/json", signal, bearer = token } = {}) {
  const headers = { Accept: "application/json" };
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  if (body !== undefined) headers["Content-Type"] = type;
  const answer = await fetch(path, {
    method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "omit", cache: "no-store", redirect: "error",
  });
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer) {
  const text = await answer.text();
  let status = {};
  try {
    status = JSON.parse(text);
  } catch {
    // A proxy on the way says it in its own form.
  }
  return new Refusal(answer.status, status.message || text.slice(0, 300) || answer.statusText, status.reason);
}

/** One object, or one page of a list. */
export async function get(path, signal) {
  return (await send("GET", path, { signal })).json();
}

/** By which name of its own the page's writes are entered in managedFields. */
const manager = { fieldManager: "stint-page" };

export async function create(path, body) {
  return (await send("POST", withQuery(path, manager), { body })).json();
}

/** Merges `body` into an object. */
export async function merge(path, body) {
  return (await send("PATCH", withQuery(path, manager), { body, type: "application/merge-patch+json" })).json();
}

export async function remove(path, body = {}) {
  return (await send("DELETE", path, { body })).json();
}

/** A path with a query; what is empty is left out. */
export function withQuery(path, query) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== "" && value !== undefined) parts.set(name, value);
  const text = parts.toString();
  return text ? `${path}?${text}` : path;
}

/** Whether who asks may do that, by the API's own review; where it has none, the attempt will tell. */
export function may(verb, group, resource, namespace = "", subresource = "") {
  const name = [verb, group, resource, namespace, subresource].join("/");
  if (!reviews.has(name)) reviews.set(name, review({ verb, group, resource, namespace, subresource }));
  return reviews.get(name);
}

async function review(resourceAttributes) {
  const kind = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview" };
  try {
    const answer = await create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
      ...kind, spec: { resourceAttributes },
    });
    return answer.status?.allowed === true;
  } catch (error) {
    return error.code !== 401 && error.code !== 403;
  }
}

/** The bytes of a log as they come. */
export async function* log(namespace, pod, query, signal) {
  const path = withQuery(`/api/v1/namespaces/${namespace}/pods/${pod}/log`, query);
  const reader = (await send("GET", path, { signal })).body.getReader();
  while (true) {
    const { value, done } = await reader.read();
    if (done) return;
    yield value;
  }
}
