// What the API says about annotations under `stint.dev/` on Jobs, CronJobs and pods.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("annotations of Jobs and pods, at the API")
struct APIJobAnnotationTests {
  private func job(_ annotations: StringMap, template: StringMap = [:], spec: JSON = .object(JSONObject())) -> JSON {
    var job = Manifest.job("j", spec: spec)
    job[path: ["metadata", "annotations"]] = annotations.json
    if !template.isEmpty { job[path: ["spec", "template", "metadata", "annotations"]] = template.json }
    return job
  }

  @Test(
    "a value that means nothing is refused with its field and why",
    arguments: [
      ("start-deadline-seconds", "0", "must be a whole number of seconds from 1 to 2147483647"),
      ("start-deadline-seconds", "1m", "must be a whole number of seconds from 1 to 2147483647"),
      ("ttl-seconds-after-failure", "-1", "must be a whole number of seconds from 0 to 2147483647"),
      ("ttl-seconds-after-failure", "+1", "must be a whole number of seconds from 0 to 2147483647"),
      ("ttl-seconds-after-failure", "9999999999", "must be a whole number of seconds from 0 to 2147483647"),
      ("backoff", "initial=10", "initial must be a duration such as 10s or 1m30s, at most 8760h"),
      ("rerun-of", "A", "a lowercase RFC 1123 subdomain must consist of"),
      ("indexes", "1", "requires indexed completion mode"),
    ])
  func refused(_ name: String, _ value: String, _ why: String) throws {
    let harness = try APIHarness()
    let annotation = "stint.dev/\(name)"
    let path = "metadata.annotations[\(annotation)]: Invalid value: \(JSON.string(value).text): \(why)"
    let made = harness.create(.jobs, job([annotation: value]))
    #expect(made.code == 422 && made.message.hasPrefix("Job.batch \"j\" is invalid: \(path)"), "\(made.message)")
    #expect(harness.create(.jobs, job([:])).code == 201)
    let patched = harness.patch(
      .jobs, "j", .merge, ["metadata": ["annotations": .object(JSONObject(entries: [(annotation, .string(value))]))]])
    #expect(patched.code == 422 && patched.message.contains(path), "\(patched.message)")
    var cron: JSON = [
      "apiVersion": "batch/v1", "kind": "CronJob", "metadata": ["name": "c"],
      "spec": ["schedule": "* * * * *", "jobTemplate": ["spec": Manifest.job("j")["spec"] ?? .null]],
    ]
    cron[path: ["spec", "jobTemplate", "metadata", "annotations"]] =
      StringMap(dictionaryLiteral: (annotation, value)).json
    let ofCron = harness.create(.cronjobs, cron)
    #expect(ofCron.code == 422 && ofCron.message.contains("spec.jobTemplate.\(path)"), "\(ofCron.message)")
  }

  @Test("indexes are a rising list below the completions, and stay as they are")
  func indexes() throws {
    let harness = try APIHarness()
    let spec: JSON = ["completionMode": "Indexed", "completions": 5, "parallelism": 2]
    for (value, why) in [
      ("", "must be a rising list"), ("3,1", "must be a rising list"), ("0,1,2", "must be a rising list"),
      ("1-", "must be a rising list"), ("1,5", "must be below completions, which is 5"),
      ("0-9", "must be below completions, which is 5"),
    ] {
      let answer = harness.create(.jobs, job([JobAnnotation.indexes: value], spec: spec))
      #expect(answer.code == 422 && answer.message.contains(why), "\(value): \(answer.message)")
    }
    #expect(harness.create(.jobs, job([JobAnnotation.indexes: "1,3,4"], spec: spec)).code == 201)
    let changes: [JSON] = ["1", .null]
    for change in changes {
      let answer = harness.patch(.jobs, "j", .merge, ["metadata": ["annotations": ["stint.dev/indexes": change]]])
      #expect(answer.code == 422 && answer.message.contains("[stint.dev/indexes]") == true)
      #expect(answer.message.contains("field is immutable"))
    }
  }

  @Test("the deadline for the start is a pod's and a template's too")
  func ofPods() throws {
    let harness = try APIHarness()
    var pod = Manifest.pod("p")
    pod[path: ["metadata", "annotations"]] = ["stint.dev/start-deadline-seconds": "soon"]
    #expect(harness.create(.pods, pod).message.contains("metadata.annotations[stint.dev/start-deadline-seconds]"))
    let answer = harness.create(.jobs, job([:], template: [JobAnnotation.startDeadline: "soon"]))
    #expect(
      answer.code == 422 && answer.message.contains("spec.template.annotations[stint.dev/start-deadline-seconds]"))
    let both = job([JobAnnotation.startDeadline: "10"], template: [JobAnnotation.startDeadline: "20"])
    #expect(harness.create(.jobs, both).code == 201)
    let made = harness.list(.pods).items.first
    #expect(made?[path: ["metadata", "annotations", JobAnnotation.startDeadline]] == "20", "the template goes first")
  }

  @Test("a name that means nothing there gets a Warning; others' annotations and a plain Job none")
  func warnings() throws {
    let harness = try APIHarness()
    let answer = harness.create(
      .jobs,
      job(
        ["stint.dev/backof": "x", "stint.dev/on-lease-end": "kill", "example.com/backof": "x"],
        template: [JobAnnotation.backoff: "initial=1s"]))
    #expect(
      answer.warnings == [
        "metadata.annotations[stint.dev/backof]: has no effect: there is no such annotation",
        "metadata.annotations[stint.dev/on-lease-end]: has no effect: belongs to the pod template's annotations",
        "spec.template.metadata.annotations[stint.dev/backoff]: has no effect: belongs to the Job's own annotations",
      ])
    #expect(harness.create(.jobs, Manifest.job("plain")).warnings.isEmpty)
  }

  @Test("a write of the status leaves them as they were, and says so")
  func status() throws {
    let harness = try APIHarness()
    #expect(harness.create(.jobs, job([JobAnnotation.backoff: "initial=1s"])).code == 201)
    let answer = harness.patch(
      .jobs, "j", .merge, ["metadata": ["annotations": ["stint.dev/backoff": "never", "a": "b"]]], subresource: "status"
    )
    #expect(answer.code == 200)
    #expect(answer.warnings == ["metadata.annotations[stint.dev/backoff]: not written by jobs/status"])
    #expect(answer.object[path: ["metadata", "annotations"]] == ["a": "b", "stint.dev/backoff": "initial=1s"])
  }
}
