// `create job` and `create cronjob`: what they ask for, against a coordinator that is a closure. The objects are
// those that kubectl makes of the same flags.

import ClusterProto
import Testing

@testable import stint

@Suite("Jobs and CronJobs made of flags")
struct CommandLineCreateTests {
  private static func made(_ line: [String], _ cron: JSON = .null) throws -> (FakeCluster, JSON) {
    let cluster = FakeCluster()
    let status = cluster.run(line) { request in
      [.done(code: 201, object: request.verb == .get ? cron : request.body ?? .null, warnings: [])]
    }
    #expect(status == 0, "\(cluster.err)")
    return (cluster, try #require(cluster.asked.last?.body))
  }

  @Test("create job --image makes a Job of one container, its command behind --")
  func job() throws {
    let (cluster, job) = try Self.made(["create", "job", "hello", "--image=busybox", "--", "sh", "-c", "true"])
    #expect(cluster.asked.last?.kind == .jobs && cluster.asked.last?.verb == .create)
    let pod = job[path: ["spec", "template", "spec"]]
    #expect(pod?["restartPolicy"] == "Never")
    #expect(pod?["containers"] == [["name": "hello", "image": "busybox", "command": ["sh", "-c", "true"]]])
    #expect(cluster.out == "job.batch/hello created\n")
  }

  @Test("create cronjob makes one of a schedule, OnFailure unless --restart says otherwise")
  func cronJob() throws {
    let line = ["create", "cronjob", "tick", "--image=busybox", "--schedule=*/5 * * * *"]
    let (cluster, cron) = try Self.made(line + ["--", "true"])
    #expect(cluster.asked.last?.kind == .cronjobs)
    #expect(cron[path: ["spec", "schedule"]] == "*/5 * * * *")
    let pod = cron[path: ["spec", "jobTemplate", "spec", "template", "spec"]]
    #expect(pod?["restartPolicy"] == "OnFailure" && pod?["containers"]?[0]?["command"] == ["true"])
    #expect(cluster.out == "cronjob.batch/tick created\n")
    let (_, never) = try Self.made(line + ["--restart=Never"])
    #expect(never[path: ["spec", "jobTemplate", "spec", "template", "spec", "restartPolicy"]] == "Never")
  }

  @Test("create job --from makes the CronJob's run, owned by it and marked as made by hand")
  func fromCronJob() throws {
    let spec: JSON = ["backoffLimit": 3, "template": ["spec": ["restartPolicy": "Never"]]]
    let cron: JSON = [
      "metadata": ["name": "tick", "uid": "u1"],
      "spec": [
        "jobTemplate": ["metadata": ["labels": ["a": "b"], "annotations": ["c": "d"]], "spec": spec]
      ],
    ]
    let (cluster, job) = try Self.made(["create", "job", "now", "--from=cronjob/tick"], cron)
    #expect(cluster.asked.map(\.verb) == [.get, .create] && cluster.asked.first?.name == "tick")
    #expect(job["spec"] == spec)
    let meta = job["metadata"]
    #expect(meta?["labels"] == ["a": "b"])
    #expect(meta?["annotations"] == ["c": "d", "cronjob.kubernetes.io/instantiate": "manual"])
    #expect(
      meta?["ownerReferences"] == [
        ["apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "uid": "u1", "controller": true]
      ])
  }

  @Test(
    "what does not fit together is refused before anything is asked",
    arguments: [
      (["job", "x"], "either --image or --from must be specified"),
      (["job", "x", "--image=i", "--from=cronjob/y"], "either --image or --from must be specified"),
      (["job", "x", "--from=cronjob/y", "--", "true"], "cannot specify --from and command"),
      (["job", "x", "--from=job/y"], "from must be an existing cronjob"),
      (["job", "--image=i"], "exactly one NAME is required, got 0"),
      (["job", "x", "--image=i", "--schedule=@daily"], "--schedule is for create cronjob, not create job"),
      (["cronjob", "x", "--schedule=@daily"], "--image must be specified"),
      (["cronjob", "x", "--image=i"], "--schedule must be specified"),
      (["cronjob", "x", "y", "--image=i", "--schedule=@daily"], "exactly one NAME is required, got 2"),
    ])
  func refused(line: [String], text: String) {
    let cluster = FakeCluster()
    #expect(cluster.run(["create"] + line) { _ in [] } != 0)
    #expect(cluster.err.contains(text), "\(cluster.err)")
    #expect(cluster.asked.isEmpty)
  }
}
