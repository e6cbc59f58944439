// Refusals, byte for byte as Kubernetes words them.

import ClusterProto
import Testing

@testable import CoordinatorCore

private let notNegative = "must be greater than or equal to 0"
private let subdomain =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
  + "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
  + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

struct Refusal: CustomTestStringConvertible, Sendable {
  var manifest: JSON
  var code = 422
  var message: String
  var testDescription: String { message }
}

private func main(_ members: JSON) -> JSON {
  var container: JSON = ["name": "main", "image": "busybox", "command": ["true"]]
  for (key, value) in members.objectValue ?? JSONObject() { container[key] = value }
  return ["containers": [container]]
}

private let jobRefusals: [Refusal] = [
  Refusal(
    manifest: Manifest.json(
      #"{"metadata":{"name":"e-norestart"},"#
        + #""spec":{"template":{"spec":{"containers":[{"name":"main","image":"b"}]}}}}"#),
    message:
      #"Job.batch "e-norestart" is invalid: spec.template.spec.restartPolicy: Required value: valid values: "#
      + #""OnFailure", "Never""#
  ),
  Refusal(
    manifest: Manifest.job("e-always", pod: ["restartPolicy": "Always"]),
    message:
      #"Job.batch "e-always" is invalid: spec.template.spec.restartPolicy: Required value: valid values: "#
      + #""OnFailure", "Never""#
  ),
  Refusal(
    manifest: Manifest.job("e-restartbad", pod: ["restartPolicy": "Sometimes"]),
    message:
      #"Job.batch "e-restartbad" is invalid: [spec.template.spec.restartPolicy: Unsupported value: "Sometimes": "#
      + #"supported values: "Always", "OnFailure", "Never", spec.template.spec.restartPolicy: Unsupported "#
      + #"value: "Sometimes": supported values: "OnFailure", "Never"]"#
  ),
  Refusal(
    manifest: Manifest.job("Bad_Name"),
    message: "Job.batch \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\": \(subdomain)"),
  Refusal(
    manifest: Manifest.job("e-neg", spec: ["completions": -1]),
    message: "Job.batch \"e-neg\" is invalid: spec.completions: Invalid value: -1: \(notNegative)"),
  Refusal(
    manifest: Manifest.job(
      "e-negboth",
      spec: [
        "completions": -1, "parallelism": -2, "backoffLimit": -3, "activeDeadlineSeconds": -4,
        "ttlSecondsAfterFinished": -5,
      ]),
    message:
      "Job.batch \"e-negboth\" is invalid: [spec.parallelism: Invalid value: -2: \(notNegative), "
      + "spec.completions: Invalid value: -1: \(notNegative), spec.activeDeadlineSeconds: Invalid value: -4: "
      + "\(notNegative), spec.backoffLimit: Invalid value: -3: \(notNegative), spec.ttlSecondsAfterFinished: "
      + "Invalid value: -5: \(notNegative)]"
  ),
  Refusal(
    manifest: Manifest.job("e-idxpar", spec: ["completionMode": "Indexed", "parallelism": 2]),
    message: #"Job.batch "e-idxpar" is invalid: spec.completions: Required value: when completion mode is Indexed"#),
  Refusal(
    manifest: Manifest.job("e-mode", spec: ["completionMode": "Sorted"]),
    message:
      #"Job.batch "e-mode" is invalid: spec.completionMode: Unsupported value: "Sorted": supported values: "#
      + #""NonIndexed", "Indexed""#
  ),
  Refusal(
    manifest: Manifest.job(
      "e-polof", spec: ["podFailurePolicy": ["rules": []]], pod: ["restartPolicy": "OnFailure"]),
    message:
      #"Job.batch "e-polof" is invalid: spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "#
      + #""Never" is supported when podFailurePolicy is specified"#
  ),
  Refusal(
    manifest: Manifest.json(
      #"{"kind":"Job","metadata":{"name":"e-nocontainers"},"spec":{"template":{"spec":{"restartPolicy":"Never"}}}}"#),
    message: #"Job.batch "e-nocontainers" is invalid: spec.template.spec.containers: Required value"#),
  Refusal(
    manifest: Manifest.job(""),
    message: #"Job.batch "" is invalid: metadata.name: Required value: name or generateName is required"#),
  Refusal(
    manifest: Manifest.job("e-type", spec: ["completions": "three"]), code: 400,
    message:
      #"Job in version "v1" cannot be handled as a Job: json: cannot unmarshal string into Go struct field "#
      + #"JobSpec.spec.completions of type int32"#
  ),
  Refusal(
    manifest: Manifest.job("e-big", spec: ["completions": 3_000_000_000]), code: 400,
    message:
      #"Job in version "v1" cannot be handled as a Job: json: cannot unmarshal number 3000000000 into Go struct "#
      + #"field JobSpec.spec.completions of type int32"#
  ),
  Refusal(
    manifest: Manifest.job("e-point", spec: ["parallelism": .double(1_000)]), code: 400,
    message:
      #"Job in version "v1" cannot be handled as a Job: json: cannot unmarshal number 1000.0 into Go struct "#
      + #"field JobSpec.spec.parallelism of type int32"#
  ),
  Refusal(
    manifest: Manifest.job("e-name", pod: main(["name": 5])), code: 400,
    message:
      #"Job in version "v1" cannot be handled as a Job: json: cannot unmarshal number into Go struct field "#
      + #"Container.spec.template.spec.containers.name of type string"#
  ),
  Refusal(
    manifest: ["kind": "Job", "spec": 5], code: 400,
    message:
      #"Job in version "v1" cannot be handled as a Job: json: cannot unmarshal number into Go struct field "#
      + #"Job.spec of type v1.JobSpec"#
  ),
  Refusal(
    manifest: ["kind": "Job", "apiVersion": "batch/v1beta1"], code: 400,
    message: "the API version in the data (batch/v1beta1) does not match the expected API version (batch/v1)"),
  Refusal(
    manifest: Manifest.job("e-own", pod: main(["restartPolicy": "Sometimes"])),
    message:
      #"Job.batch "e-own" is invalid: spec.template.spec.containers[0].restartPolicy: Unsupported value: "#
      + #""Sometimes": supported values: "Always", "Never", "OnFailure""#
  ),
  Refusal(
    manifest: Manifest.job("e-mount", pod: main(["volumeMounts": [["name": "x", "mountPath": "/x"]]])),
    message:
      #"Job.batch "e-mount" is invalid: spec.template.spec.containers[0].volumeMounts[0].name: Not found: "x""#),
  Refusal(
    manifest: Manifest.job("e-replace", spec: ["podReplacementPolicy": "Never"]),
    message:
      #"Job.batch "e-replace" is invalid: spec.podReplacementPolicy: Unsupported value: "Never": supported "#
      + #"values: "Failed", "TerminatingOrFailed""#
  ),
  Refusal(
    manifest: Manifest.job("e-noimage", pod: ["containers": [["name": "main"]]]),
    message: #"Job.batch "e-noimage" is invalid: spec.template.spec.containers[0].image: Required value"#),
]

@Suite("refusals") struct APIRefusalTests {
  @Test("a Job that Kubernetes refuses is refused in its words", arguments: jobRefusals)
  func words(_ refusal: Refusal) throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, refusal.manifest)
    #expect(answer.code == refusal.code)
    #expect(answer.message == refusal.message)
    #expect(answer.object["kind"] == "Status")
    #expect(answer.object["status"] == "Failure")
    #expect(answer.object["code"] == .int(Int64(refusal.code)))
    #expect(harness.list(.jobs).items.isEmpty)
  }

  @Test("the Status of an invalid Job lists each cause with reason, message and field")
  func causes() throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("e-always", pod: ["restartPolicy": "Always"]))
    let rule = #"Required value: valid values: "OnFailure", "Never""#
    let field = "spec.template.spec.restartPolicy"
    let expected: JSON = [
      "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "reason": "Invalid", "code": 422,
      "message": .string("Job.batch \"e-always\" is invalid: \(field): \(rule)"),
      "details": [
        "name": "e-always", "group": "batch", "kind": "Job",
        "causes": [["reason": "FieldValueRequired", "message": .string(rule), "field": .string(field)]],
      ],
    ]
    #expect(answer.object == expected)
  }

  @Test("a selector of one's own is refused with both of Kubernetes' lines")
  func selector() throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("e-sel", spec: ["selector": ["matchLabels": ["a": "b"]]]))
    let causes = answer.object[path: ["details", "causes"]]?.arrayValue ?? []
    #expect(causes.map { $0["field"]?.stringValue } == ["spec.selector", "spec.template.metadata.labels"])
    #expect(causes[0]["message"]?.stringValue?.hasSuffix("`selector` not auto-generated") == true)
    #expect(causes[1]["message"]?.stringValue?.hasSuffix("`selector` does not match template `labels`") == true)
  }

  @Test("unknown fields: an error when strict, a warning by default, silence when ignored, and they are dropped")
  func unknownFields() throws {
    let harness = try APIHarness()
    let manifest = Manifest.job("e-unknown", spec: ["completionz": 3])
    let strict = harness.create(.jobs, manifest) { $0.fieldValidation = "Strict" }
    #expect(strict.code == 400)
    #expect(
      strict.message
        == #"Job in version "v1" cannot be handled as a Job: strict decoding error: unknown field "spec.completionz""#)
    let warned = harness.create(.jobs, manifest) { $0.dryRun = true }
    #expect(warned.code == 201)
    #expect(warned.warnings == [#"unknown field "spec.completionz""#])
    #expect(warned.object[path: ["spec", "completionz"]] == nil)
    let silent = harness.create(.jobs, manifest) { $0.fieldValidation = "Ignore" }
    #expect(silent.warnings.isEmpty)
    let nested = harness.create(.jobs, Manifest.job("n", pod: main(["foo": 1]))) { $0.fieldValidation = "Strict" }
    #expect(nested.message.hasSuffix(#"unknown field "spec.template.spec.containers[0].foo""#))
    #expect(harness.create(.jobs, manifest) { $0.fieldValidation = "Maybe" }.code == 422)
  }

  @Test("bodies that are no object at all get Kubernetes' answer")
  func noObject() throws {
    let harness = try APIHarness()
    for body: JSON? in [nil, .null, 5, "x", [1]] {
      let answer = harness.ask(APIRequest(verb: .create, kind: .jobs, namespace: "default", body: body))
      #expect(answer.code == 400)
      #expect(
        answer.message.hasPrefix("the object provided is unrecognized (must be of type Job): couldn't get version/kind")
      )
    }
  }

  @Test(
    "what this version cannot run rightly is refused by name",
    arguments: [
      ("hostPID", ["hostPID": true]),
      ("runtimeClassName", ["runtimeClassName": "gvisor"]), ("schedulerName", ["schedulerName": "other"]),
      ("os.name", ["os": ["name": "windows"]]),
      (
        "volumes[0].projected.sources[0].clusterTrustBundle",
        ["volumes": [["name": "v", "projected": ["sources": [["clusterTrustBundle": ["path": "ca"]]]]]]]
      ),
      ("volumes[0].csi", ["volumes": [["name": "v", "csi": ["driver": "s"]]]]),
      ("containers[0].livenessProbe.grpc", main(["livenessProbe": ["grpc": ["port": 80]]])),
      ("containers[0].resources.limits[hugepages-2Mi]", main(["resources": ["limits": ["hugepages-2Mi": 1]]])),
    ] as [(String, JSON)])
  func refusedByName(_ field: String, _ pod: JSON) throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("r", pod: pod))
    #expect(answer.code == 422)
    #expect(answer.message.hasPrefix("Job.batch \"r\" is invalid: spec.template.spec.\(field): Forbidden: "))
    #expect(answer.object[path: ["details", "causes"]]?[0]?["reason"] == "FieldValueForbidden")
    #expect(answer.message.contains("supported by this version"))
  }

  @Test(
    "a field without effect is kept, and a warning names it",
    arguments: [
      ("resizePolicy", [["resourceName": "cpu", "restartPolicy": "NotRequired"]])
    ] as [(String, JSON)])
  func warned(_ field: String, _ value: JSON) throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("w", pod: main([field: value])))
    #expect(answer.code == 201)
    #expect(answer.warnings == ["spec.template.spec.containers[0].\(field): not honoured by this version, ignored"])
    let kept = harness.get(.jobs, "w").object[path: ["spec", "template", "spec", "containers"]]?[0]?[field] ?? .null
    #expect(kept == value)
  }

  @Test("a container without command, limits and an unlimited toleration are accepted with warnings")
  func otherWarnings() throws {
    let harness = try APIHarness()
    let bare = harness.create(.jobs, Manifest.job("a", pod: ["containers": [["name": "m", "image": "i"]]]))
    #expect(
      bare.warnings.first?.hasPrefix("spec.template.spec.containers[0].command: not set; no node here runs images")
        == true)
    let limited = harness.create(.jobs, Manifest.job("b", pod: main(["resources": ["limits": ["memory": "1Gi"]]])))
    #expect(limited.warnings.isEmpty)
    let endless = harness.create(.jobs, Manifest.job("c", pod: ["tolerations": [["operator": "Exists"]]]))
    #expect(endless.warnings.first?.contains("without a limit") == true)
    let dotted = harness.create(.jobs, Manifest.job("a.b"))
    #expect(dotted.warnings.first?.hasPrefix("metadata.name: this is used in Pod names and hostnames") == true)
  }

  @Test("kinds that nothing reads are kept with a warning, also where the object is changed")
  func kindsWithoutEffect() throws {
    let harness = try APIHarness()
    let service: JSON = ["metadata": ["name": "s"], "spec": ["ports": [["port": 80]]]]
    let made = harness.create(.services, service)
    #expect(made.code == 201)
    #expect(made.warnings.contains { $0.hasPrefix("spec: not honoured") && $0.contains("no cluster IP") }, "\(made)")
    let changed = harness.patch(.services, "s", .merge, ["metadata": ["labels": ["a": "b"]]])
    #expect(changed.warnings == made.warnings)
  }

  @Test("a name that is too long for the job-name label is refused")
  func longName() throws {
    let harness = try APIHarness()
    let name = String(repeating: "a", count: 64)
    let answer = harness.create(.jobs, Manifest.job(name))
    #expect(answer.code == 422)
    #expect(
      answer.message
        == "Job.batch \"\(name)\" is invalid: spec.template.labels: Invalid value: \"\(name)\": must be no more "
        + "than 63 bytes"
    )
    #expect(harness.create(.jobs, Manifest.job(String(repeating: "a", count: 63))).code == 201)
  }
}
