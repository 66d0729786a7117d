// Serves one of the functions of this folder on the Lambda Runtime API: `node loop.cjs NAME`.
//
// The least that a runtime can do, so that what is measured is the function.
"use strict";

const http = require("node:http");

const { handler } = require(`./${process.argv[2]}.cjs`);
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const base = "/2018-06-01/runtime/invocation/";

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body ? { "content-length": body.length } : {};
    const request = http.request({ host, port, agent, method, path, headers }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => resolve({ headers: answer.headers, body: Buffer.concat(chunks) }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function main() {
  for (;;) {
    const { headers, body } = await call("GET", `${base}next`);
    const awsRequestId = headers["lambda-runtime-aws-request-id"];
    const context = { awsRequestId, getRemainingTimeInMillis: () => 60_000 };
    const answer = await handler(JSON.parse(body.toString("utf8")), context);
    await call("POST", `${base}${awsRequestId}/response`, Buffer.from(JSON.stringify(answer)));
  }
}

main().catch(() => process.exit(1));
