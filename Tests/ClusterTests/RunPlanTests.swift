// The Job that `stint run` makes: what is refused, what it has, and that --dry-run asks nobody.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("The Job of stint run")
struct RunPlanTests {
  private static func request(_ change: (inout RunRequest) -> Void = { _ in }) -> RunRequest {
    var request = RunRequest(name: "x", words: ["true"])
    change(&request)
    return request
  }

  @Test("what does not fit together is refused")
  func refused() {
    func files(_ locals: [String], _ path: String, bytes: Int = 0) -> [RunFile] {
      locals.enumerated().map { number, local in
        RunFile(local: local, path: path.replacing("#", with: "\(number)"), bytes: Array(repeating: 1, count: bytes))
      }
    }
    let cases: [((inout RunRequest) -> Void, String)] = [
      ({ $0.isIndexed = true }, "--indexed needs --completions"),
      ({ ($0.completions, $0.items) = (3, .lines(["a"])) }, "--completions does not go with"),
      ({ ($0.isIndexed, $0.completions) = (true, 100_001) }, "100001 are more than the 100000"),
      ({ $0.name = "Upper" }, "--name: \"Upper\" "), ({ $0.name = "" }, "--name: \"\" "),
      ({ $0.name = String(repeating: "a", count: 64) }, "must be no more than 63"),
      (
        {
          $0.name = String(repeating: "a", count: 60)
          $0.items = .numbers(first: 0, step: 1, count: 10_000)
        }, "(-9999)"
      ),
      ({ $0.environment = [("A", "1"), ("A", "2")] }, "--env: A stands twice"),
      ({ $0.oomMemory = "x2:16Gi" }, "--oom-memory needs --memory"),
      ({ ($0.oomMemory, $0.memory) = ("2:16Gi", "1Gi") }, "--oom-memory: \"2:16Gi\": must be xFACTOR:BOUND"),
      ({ ($0.oomMemory, $0.memory) = ("x2:1Gi", "1Gi") }, "the bound of \"x2:1Gi\" is not above --memory 1Gi"),
      ({ $0.environment = [("", "1")] }, "--env: \"\" "),
      ({ $0.nodeLabels = [("a", "1"), ("a", "2")] }, "--on-node: a stands twice"),
      ({ $0.files = files(["a/f", "b/f"], "f") }, "two files for f: say another place, as in b/f:PATH"),
      ({ $0.files = files(["f"], "../f") }, "no path for a file"),
      ({ $0.files = files(["f"], "/") }, "no path for a file"),
      ({ $0.files = files(["f", "g"], "f#", bytes: 600_000) }, "the files have 1200000 bytes"),
    ]
    for (change, why) in cases {
      do throws(RunItems.Problem) {
        let plan = try RunPlan(Self.request(change))
        Issue.record("\(plan.job.text)")
      } catch {
        #expect(error.text.contains(why), "\(error.text)")
      }
    }
  }

  @Test("a plain command is a Job of one pod that is tried once, and loses nothing by a lost machine")
  func plain() throws {
    let plan = try RunPlan(Self.request())
    #expect(plan.configMaps.isEmpty)
    #expect(
      plan.job == [
        "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "x"],
        "spec": [
          "completions": 1, "parallelism": 1, "backoffLimit": 0,
          "podFailurePolicy": [
            "rules": [["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]]]
          ],
          "template": [
            "spec": [
              "restartPolicy": "Never",
              "containers": [
                [
                  "name": "main", "image": "host", "command": ["true"],
                  "terminationMessagePolicy": "FallbackToLogsOnError",
                ]
              ],
            ]
          ],
        ],
      ])
  }

  @Test("what pods ask for, where they run and what they wait for stands where Kubernetes has it")
  func asked() throws {
    let plan = try RunPlan(
      Self.request {
        $0.cpu = "2"
        $0.memory = "4Gi"
        $0.gpus = 1
        $0.seconds = 7_200
        $0.retries = 3
        $0.completions = 5_000
        $0.nodeLabels = [("zone", "a"), ("kubernetes.io/hostname", "n1")]
        $0.environment = [("A", "$(B) = c")]
        $0.annotations = ["stint.dev/queue": "q"]
      })
    let spec = plan.job["spec"]
    let pod = spec?[path: ["template", "spec"]]
    #expect(spec?["activeDeadlineSeconds"] == 7_200 && spec?["backoffLimit"] == 3)
    #expect(spec?["completions"] == 5_000 && spec?["parallelism"] == 1_000 && spec?["completionMode"] == nil)
    #expect(pod?["nodeSelector"] == ["zone": "a", "kubernetes.io/hostname": "n1"])
    #expect(plan.job[path: ["metadata", "annotations"]] == ["stint.dev/queue": "q"])
    let container = pod?["containers"]?[0]
    #expect(
      container?["resources"] == [
        "requests": ["cpu": "2", "memory": "4Gi"], "limits": ["memory": "4Gi", "nvidia.com/gpu": "1"],
      ])
    #expect(container?["env"] == [["name": "A", "value": "$$(B) = c"]])
  }

  @Test("more memory after OOMKilled brings as many retries as can use it, for that alone, unless retries are said")
  func oomMemory() throws {
    func spec(_ change: (inout RunRequest) -> Void) throws -> JSON {
      let plan = try RunPlan(
        Self.request { request in
          (request.memory, request.oomMemory) = ("1Gi", "x2:16Gi")
          change(&request)
        })
      #expect(plan.job[path: ["metadata", "annotations", JobAnnotation.oomMemory]] == "x2:16Gi")
      return plan.job["spec"] ?? .null
    }
    func rules(_ spec: JSON) -> [String] {
      (spec[path: ["podFailurePolicy", "rules"]]?.arrayValue ?? []).map { $0["action"]?.stringValue ?? "" }
    }
    let plain = try spec { _ in }
    #expect(plain["backoffLimit"] == 4 && rules(plain) == ["Ignore", "FailJob"])
    let indexed = try spec { $0.items = .lines(["a", "b"]) }
    #expect(indexed["backoffLimitPerIndex"] == 4 && rules(indexed) == ["Ignore", "FailIndex"])
    let said = try spec { $0.retries = 2 }
    #expect(said["backoffLimit"] == 2 && rules(said) == ["Ignore"])
  }

  @Test("items make an Indexed Job in which each index has its own retries")
  func indexed() throws {
    for items in [nil, RunItems.lines(Array(repeating: "x", count: 25))] {
      let plan = try RunPlan(
        Self.request {
          $0.items = items
          $0.isIndexed = true
          $0.completions = items == nil ? 25 : nil
          $0.retries = 2
        })
      let spec = plan.job["spec"]
      #expect(spec?["completionMode"] == "Indexed" && spec?["completions"] == 25 && spec?["parallelism"] == 10)
      #expect(spec?["backoffLimitPerIndex"] == 2 && spec?["backoffLimit"] == nil)
      #expect(plan.configMaps.count == (items == nil ? 0 : 1))
    }
  }

  @Test("files below the working directory lie in an empty one, others where they were asked for")
  func files() throws {
    let plan = try RunPlan(
      Self.request {
        $0.files = [
          RunFile(local: "a.sh", path: "a.sh", bytes: Array("echo".utf8), isExecutable: true),
          RunFile(local: "b", path: "/etc/b", bytes: [0xFF]),
        ]
      })
    #expect(
      plan.configMaps == [
        [
          "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "x-files"], "data": ["file-0": "echo"],
          "binaryData": ["file-1": "/w=="],
        ]
      ])
    let container = plan.job[path: ["spec", "template", "spec", "containers"]]?[0]
    #expect(container?["workingDir"] == "/stint/work")
    #expect(
      container?["volumeMounts"] == [
        ["name": "work", "mountPath": "/stint/work"],
        ["name": "files", "mountPath": "/stint/work/a.sh", "subPath": "file-0", "readOnly": true],
        ["name": "files", "mountPath": "/etc/b", "subPath": "file-1", "readOnly": true],
      ])
  }

  @Test(
    "a Job that nobody named has its command's name",
    arguments: [
      ("/usr/bin/Train_Model.py", "train-model-py-"), ("sh", "sh-"), ("/", "run-"), ("...", "run-"), ("ünï", "n-"),
      (String(repeating: "long", count: 30), String(repeating: "long", count: 10) + "-"),
    ])
  func names(command: String, prefix: String) {
    let name = RunName.of(command, seed: 12_345)
    #expect(name.hasPrefix(prefix) && name.utf8.count == prefix.utf8.count + 5, "\(name)")
    #expect(Names.labelErrors(name).isEmpty)
  }

  private static func printed(_ line: [String]) -> (FakeCluster, Int32) {
    let cluster = FakeCluster()
    let status = cluster.run(["run"] + line) { _ in [] }
    return (cluster, status)
  }

  @Test("--dry-run -o yaml prints manifests that can be applied, ConfigMaps first, and asks nobody")
  func dryRun() throws {
    let path = "/tmp/stint-each-\(getpid())"
    try Files.writeAtomically(path, Array("one\ntwo words\n".utf8))
    defer { unlink(path) }
    let (cluster, status) = Self.printed(
      ["--name", "x", "--each", path, "--retries", "1", "--dry-run", "-o", "yaml", "--", "echo", "{}"])
    #expect(status == 0 && cluster.asked.isEmpty, "\(cluster.err)")
    #expect(
      cluster.out.hasPrefix(
        """
        apiVersion: v1
        data:
          items-0: |
            one
            two words
        kind: ConfigMap
        metadata:
          name: x-items
        ---
        apiVersion: batch/v1
        kind: Job
        """), "\(cluster.out)")
    #expect(cluster.out.contains("backoffLimitPerIndex: 1"))
    let (plain, _) = Self.printed(["--name", "x", "--dry-run=client", "--", "true"])
    #expect(plain.out == "job.batch/x created (dry run)\n")
  }

  @Test(
    "wrong flags exit with 2 and ask nobody",
    arguments: [
      (["ls"], "the command stands behind --: -- ls"), (["--"], "too few arguments"),
      (["--array", "5-1", "--", "true"], "--array: \"5-1\" ends before it begins"),
      (["--array", "1", "--each", "x", "--", "true"], "--array does not go with --each"),
      (["--each", "/dev/null", "--", "true"], "--each: /dev/null has no lines"),
      (["--env", "A", "--", "true"], "--env: \"A\" is not NAME=VALUE"),
      (["--env", "A=1", "--env", "A=2", "--", "true"], "--env: A stands twice"),
      (["--cpu", "much", "--", "true"], "--cpu: \"much\" is not a quantity"),
      (["--dry-run=maybe", "--", "true"], "is not one of none, client, server"),
    ])
  func wrong(line: [String], why: String) {
    let (cluster, status) = Self.printed(line)
    #expect(status == 2 && cluster.err.contains(why) && cluster.asked.isEmpty, "\(status) \(cluster.err)")
  }
}
