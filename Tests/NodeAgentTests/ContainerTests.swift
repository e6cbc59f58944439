// Owns: tests of what a container sees and how its runs end, on a real keeper: volumes, mounts, commands, signals.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

@Suite(.enabled(if: isRoot, "needs root")) struct ContainerTests {
  private func termination(_ status: PodStatus?) -> ContainerState.Termination? {
    status?.containers.first?.state.termination
  }

  private func configMap(_ data: JSON) -> JSONObject { JSONObject(entries: [("configmaps/quiz", ["data": data])]) }

  private func pod(_ container: JSON, volumes: JSON = [], initContainers: JSON = []) -> JSON {
    ["restartPolicy": "Never", "containers": [container], "initContainers": initContainers, "volumes": volumes]
  }

  // MARK: - Ends

  @Test(
    "a command that cannot run ends with the code and message that Kubernetes shows",
    arguments: [
      (["/no/such/thing"], 127, "exec: \"/no/such/thing\": stat /no/such/thing: no such file or directory"),
      (["no-such-thing"], 127, "exec: \"no-such-thing\": executable file not found in $PATH"),
      (["/etc/passwd"], 126, "exec: \"/etc/passwd\": permission denied"),
    ])
  func cannotRun(command: [String], code: Int64, message: String) throws {
    let keeper = try TestKeeper()
    let container: JSON = ["name": "main", "image": "none", "command": .strings(command)]
    let end = termination(try keeper.finish(keeper.assignment(1, pod(container))).0)
    #expect(end?.exitCode == code)
    #expect(end?.reason == "ContainerCannotRun")
    #expect(end?.message == message)
  }

  @Test("a working directory that is not there, a subPath that leaves its volume: the error names the path")
  func startErrors() throws {
    let keeper = try TestKeeper()
    let lost = shell("main", "true", more: ["workingDir": "/no/such/directory"])
    let first = termination(try keeper.finish(keeper.assignment(1, pod(lost))).0)
    #expect(first?.exitCode == 128)
    #expect(first?.reason == "StartError")
    #expect(first?.message.contains("/no/such/directory: No such file or directory") == true)
    // An earlier container plants a link that leads out of the volume.
    let mounts: JSON = [["name": "v", "mountPath": "/mnt", "subPath": "out"]]
    let plant = shell("plant", "ln -s /etc /mnt/out", mounts: [["name": "v", "mountPath": "/mnt"]])
    let spec = pod(
      shell("main", "true", mounts: mounts), volumes: [["name": "v", "emptyDir": [:]]], initContainers: [plant])
    let second = termination(try keeper.finish(keeper.assignment(2, spec)).0)
    #expect(second?.reason == "StartError")
    #expect(second?.message.contains("Invalid cross-device link") == true, "\(second?.message ?? "")")
  }

  @Test("exit codes and signals are those of the container's first process")
  func exitCodes() throws {
    let keeper = try TestKeeper()
    let failed = termination(try keeper.finish(keeper.assignment(1, pod(shell("main", "exit 3")))).0)
    #expect(failed?.exitCode == 3)
    #expect(failed?.reason == "Error")
    // Kubernetes' expansion makes one `$` of two.
    let killed = termination(try keeper.finish(keeper.assignment(2, pod(shell("main", "kill -SEGV $$$$")))).0)
    #expect(killed?.exitCode == 139)
    #expect(killed?.signal == 11)
  }

  @Test("SIGTERM, then after the grace SIGKILL to all that the container started, double forks too")
  func grace() throws {
    let keeper = try TestKeeper()
    let mark = "\(keeper.scratch.path)/mark"
    let script = """
      trap 'echo told' TERM
      (setsid sh -c "trap '' TERM; while :; do : \(mark); sleep 0.02; done" &)
      echo up; while :; do sleep 0.02; done
      """
    try keeper.start(1, script: script)
    #expect(keeper.wait { keeper.log(1) == "up\n" && processes(with: mark).count > 1 })
    keeper.send(.stop(1, graceMilliseconds: 300))
    let end = termination(keeper.waitForEnd(1))
    #expect(end?.exitCode == 137)
    #expect(keeper.log(1) == "up\ntold\n")
    #expect(processes(with: mark) == [])
  }

  @Test("OnFailure restarts in place: the count, the previous log and the volume stay")
  func restart() throws {
    let keeper = try TestKeeper()
    let script = "echo run; if [ -e /mnt/seen ]; then echo again; exit 0; fi; touch /mnt/seen; exit 7"
    var spec = pod(
      shell("main", script, mounts: [["name": "v", "mountPath": "/mnt"]]), volumes: [["name": "v", "emptyDir": [:]]])
    spec["restartPolicy"] = "OnFailure"
    let (status, log) = try keeper.finish(keeper.assignment(1, spec))
    #expect(status?.phase == .succeeded)
    #expect(status?.containers.first?.restartCount == 1)
    #expect(status?.containers.first?.lastTermination?.exitCode == 7)
    #expect(log == "run\nagain\n")
    #expect(keeper.log(1, previous: true) == "run\n")
  }

  @Test("init containers run in order, each to its end, before the others")
  func initOrder() throws {
    let keeper = try TestKeeper()
    let mounts: JSON = [["name": "v", "mountPath": "/mnt"]]
    func step(_ name: String) -> JSON { shell(name, "sleep 0.05; echo \(name) >>/mnt/order", mounts: mounts) }
    let spec = pod(
      shell("main", "cat /mnt/order", mounts: mounts), volumes: [["name": "v", "emptyDir": [:]]],
      initContainers: [step("first"), step("second")])
    let (status, log) = try keeper.finish(keeper.assignment(1, spec))
    #expect(status?.phase == .succeeded)
    #expect(log == "first\nsecond\n")
    let failing = pod(
      shell("main", "true"), volumes: [["name": "v", "emptyDir": [:]]],
      initContainers: [shell("first", "exit 4"), step("second")])
    let end = try keeper.finish(keeper.assignment(2, failing)).0
    #expect(end?.phase == .failed)
    #expect(end?.initContainers.first?.state.termination?.exitCode == 4)
    #expect(termination(end) == nil)
  }

  @Test("what a container writes to its terminationMessagePath is its end's message, cut to the last 4096 bytes")
  func terminationMessages() throws {
    let keeper = try TestKeeper()
    let before = text("/dev/termination-log")
    func message(_ attempt: AttemptNumber, _ script: String, _ more: JSON = [:]) throws -> String? {
      termination(try keeper.finish(keeper.assignment(attempt, pod(shell("main", script, more: more)))).0)?.message
    }
    #expect(try message(1, "echo well done >/dev/termination-log") == "well done\n")
    #expect(try message(2, "cat /dev/termination-log; true") == "")
    let long = "i=0; while [ $i -lt 600 ]; do echo 123456789; i=$((i+1)); done"
    let cut = try message(3, "(\(long)) >/dev/termination-log; exit 3")
    #expect(cut?.utf8.count == 4_096 && cut?.hasSuffix("\n123456789\n") == true)
    #expect(
      try message(4, "echo here >/usr/stint-message", ["terminationMessagePath": "/usr/stint-message"]) == "here\n")
    #expect(!Files.exists("/usr/stint-message"))
    #expect(text("/dev/termination-log") == before)
    // One file served them all; what was written is gone.
    #expect(try Files.list(keeper.paths.messages).count <= 1)
  }

  @Test("FallbackToLogsOnError shows the end of a failed run's log, not of a good one, and a message of its own first")
  func logMessages() throws {
    let keeper = try TestKeeper()
    let policy: JSON = ["terminationMessagePolicy": "FallbackToLogsOnError"]
    func message(_ attempt: AttemptNumber, _ script: String) throws -> String? {
      termination(try keeper.finish(keeper.assignment(attempt, pod(shell("main", script, more: policy)))).0)?.message
    }
    #expect(try message(1, "echo one; echo two; exit 3") == "one\ntwo\n")
    #expect(try message(2, "echo one") == "")
    #expect(try message(3, "echo log; echo mine >/dev/termination-log; exit 3") == "mine\n")
    #expect(try message(4, "exit 3") == "")
    let cut = try message(5, "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done; exit 1")
    #expect(cut?.hasPrefix("line 120\n") == true && cut?.hasSuffix("line 199\n") == true)
  }

  // MARK: - Surroundings

  @Test("files of Secrets, ConfigMaps and the downward API come with their modes, read-only, and are gone with the pod")
  func writtenVolumes() throws {
    let keeper = try TestKeeper()
    // "p4ss" and "q" in base64.
    let references: JSONObject = [
      "secrets/s": ["data": ["key": "cDRzcw==", "other": "cQ=="]], "configmaps/c": ["data": ["map": "m"]],
    ]
    let volumes: JSON = [
      ["name": "plain", "secret": ["secretName": "s", "defaultMode": 420]],
      [
        "name": "all",
        "projected": [
          "defaultMode": 256,
          "sources": [
            ["secret": ["name": "s", "items": [["key": "key", "path": "deep/pass", "mode": 384]]]],
            ["configMap": ["name": "c"]], ["secret": ["name": "absent", "optional": true]],
            [
              "downwardAPI": [
                "items": [
                  ["path": "name", "fieldRef": ["fieldPath": "metadata.name"]],
                  ["path": "note", "fieldRef": ["fieldPath": "metadata.annotations"]],
                  ["path": "cpu", "resourceFieldRef": ["containerName": "main", "resource": "limits.cpu"]],
                ]
              ]
            ],
          ],
        ],
      ],
    ]
    let script = """
      cd /run/stint-plain; for f in *; do echo $f $(stat -c %a $f) $(cat $f); done
      cd /run/stint-all; for f in deep/pass map name note cpu; do echo $f $(stat -c %a $f) $(cat $f); done
      touch new 2>/dev/null || echo read-only
      """
    let main = shell(
      "main", script,
      mounts: [
        ["name": "plain", "mountPath": "/run/stint-plain"], ["name": "all", "mountPath": "/run/stint-all"],
      ])
    let assignment = keeper.assignment(
      1, pod(main, volumes: volumes), references: references, annotations: ["k": "v w"])
    let (status, log) = try keeper.finish(assignment)
    #expect(status?.phase == .succeeded)
    #expect(
      log == """
        key 644 p4ss
        other 644 q
        deep/pass 600 p4ss
        map 400 m
        name 400 pod-1
        note 400 k="v w"
        cpu 400 4
        read-only

        """)
    #expect(!text(keeper.paths.keeperJournal).contains("p4ss"))
  }

  @Test(
    "what a volume lacks is said in kubelet's words",
    arguments: [
      (["secret": ["secretName": "no"]], "secret \"no\" not found"),
      (
        ["secret": ["secretName": "s", "items": [["key": "no", "path": "p"]]]],
        "references non-existent secret key: no"
      ),
      (
        ["projected": ["sources": [["secret": ["name": "no"]], ["configMap": ["name": "no"]]]]],
        "[secret \"no\" not found, configmap \"no\" not found]"
      ),
    ] as [(JSON, String)])
  func missingSources(source: JSON, message: String) throws {
    let scratch = try Scratch()
    var volume = source
    volume["name"] = "v"
    let spec = PodSpec(json: pod(shell("main", "true"), volumes: [volume]))
    let assignment = Assignment(
      attempt: 1, keeper: "k", session: "s", namespace: "default", podName: "p", podUID: "u", labels: [:],
      annotations: [:], spec: spec, references: ["secrets/s": ["data": ["key": "YQ=="]]], tolerationMilliseconds: nil)
    let paths = NodePaths(data: scratch.path)
    let error = #expect(throws: VolumeError.self) {
      try Volumes.make(assignment, paths: paths, place: testPlace(assignment, paths))
    }
    #expect(error?.message == "MountVolume.SetUp failed for volume \"v\" : \(message)")
    #expect(error?.reason == "ContainerCreating")
    #expect(error?.retryable == true)
  }

  @Test("the keeper's environment is not inherited, and the pod has its own variables and name")
  func environment() throws {
    var setting = KeeperSetting()
    setting.environment += ["SECRET=of the agent"]
    let keeper = try TestKeeper(setting)
    let container: JSON = [
      "name": "main", "image": "none", "command": ["/usr/bin/env"], "env": [["name": "A", "value": "b"]],
    ]
    let lines = try keeper.finish(keeper.assignment(7, pod(container))).1.split(separator: "\n")
    #expect(!lines.contains { $0.hasPrefix("SECRET") })
    #expect(lines.contains("A=b"))
    #expect(lines.contains("HOSTNAME=pod-7"))
    #expect(lines.contains("STINT_FENCING_TOKEN=7"))
  }

  @Test("pods run as the pod user, who can write to an emptyDir and read a ConfigMap")
  func podUser() throws {
    let keeper = try TestKeeper(KeeperSetting(arguments: ["--pod-user", "nobody"]))
    let mounts: JSON = [["name": "e", "mountPath": "/mnt"], ["name": "c", "mountPath": "/srv"]]
    let spec = pod(
      shell("main", "id -u; echo x >/mnt/x && cat /mnt/x /srv/q", mounts: mounts),
      volumes: [["name": "e", "emptyDir": [:]], ["name": "c", "configMap": ["name": "quiz"]]])
    let (status, log) = try keeper.finish(keeper.assignment(1, spec, references: configMap(["q": "?\n"])))
    #expect(status?.phase == .succeeded, "\(log)")
    #expect(log == "65534\nx\n?\n")
  }

  @Test("a set-uid program of root's gives a pod of --pod-user nothing")
  func setUserID() throws {
    let keeper = try TestKeeper(KeeperSetting(arguments: ["--pod-user", "nobody"]))
    let program = "\(keeper.scratch.path)/id"
    try Files.writeAtomically(program, try Files.read("/usr/bin/id"), mode: 0o4755)
    // By hand it works: else the test would show nothing.
    try #require(try run(nobody + ["/bin/sh", "-c", "test $(\(program) -u) = 0"]), "the file system knows no set-uid")
    let log = try keeper.finish(keeper.assignment(1, pod(shell("main", "\(program) -u")))).1
    #expect(log == "65534\n")
  }

  // MARK: - Volumes

  @Test("a relative hostPath makes nothing where the agent stands, and says why")
  func relativeHostPath() throws {
    let scratch = try Scratch()
    let paths = NodePaths(data: scratch.path)
    for type in ["", "DirectoryOrCreate", "FileOrCreate"] {
      let name = "stint-relative-\(getpid())"
      let spec = pod(
        shell("main", "true"), volumes: [["name": "h", "hostPath": ["path": .string(name), "type": .string(type)]]])
      let assignment = Assignment(
        attempt: 1, keeper: "k", session: "s", namespace: "default", podName: "p", podUID: "u", labels: [:],
        annotations: [:], spec: PodSpec(json: spec), references: [:], tolerationMilliseconds: nil)
      let error = #expect(throws: VolumeError.self) {
        _ = try Volumes.make(assignment, paths: paths, place: testPlace(assignment, paths))
      }
      #expect(
        error?.message == "MountVolume.SetUp failed for volume \"h\" : hostPath \(name) is not an absolute path")
      #expect(!Files.exists(name))
    }
  }

  @Test("a ConfigMap of a mebibyte by subPath is /questions.json inside, and the host never has it")
  func questions() throws {
    let keeper = try TestKeeper()
    let body = String(repeating: "0123456789abcde\n", count: 65_535)
    let mounts: JSON = [["name": "c", "mountPath": "/questions.json", "subPath": "questions.json", "readOnly": true]]
    let spec = pod(
      shell("main", "wc -c </questions.json; echo no >>/questions.json", mounts: mounts),
      volumes: [["name": "c", "configMap": ["name": "quiz"]]])
    let assignment = keeper.assignment(1, spec, references: configMap(["questions.json": .string(body)]))
    let log = try keeper.finish(assignment).1
    #expect(log.hasPrefix("\(body.utf8.count)\n"))
    #expect(log.contains("Read-only file system"))
    #expect(!Files.exists("/questions.json"))
    // The whole assignment passes the socket too, though an agent sends only what a keeper reads.
    keeper.send(
      .start(
        {
          var whole = assignment; whole.attempt = 2; return whole
        }(),
        plan: try PodPlanner.plan(
          keeper.assignment(2, pod(shell("main", "true"))),
          place: PodPlace(
            node: "n", address: "", capacity: NodeCapacity(cpuMillicores: 1, memoryBytes: 1, pods: 1),
            podDirectory: keeper.paths.pod(2), volumes: [:])), leaseEnd: keeper.leaseEnd(in: 60_000)))
    #expect(keeper.waitForEnd(2)?.phase == .succeeded)
  }

  @Test("a path that the host lacks deeper down is there inside, what the host has beside it too, the host unchanged")
  func deepPath() throws {
    let keeper = try TestKeeper()
    let mounts: JSON = [
      ["name": "c", "mountPath": "/etc/stint-test/x"], ["name": "e", "mountPath": "/etc/stint-file/y/z"],
    ]
    let spec = pod(
      shell(
        "main", "cat /etc/stint-test/x/q; touch /etc/stint-file/y/z/f && cmp /etc/hosts \"$COPY\" && echo same",
        mounts: mounts, more: ["env": [["name": "COPY", "value": .string("\(keeper.scratch.path)/hosts")]]]),
      volumes: [["name": "c", "configMap": ["name": "quiz"]], ["name": "e", "emptyDir": [:]]])
    try Files.writeAtomically("\(keeper.scratch.path)/hosts", try Files.read("/etc/hosts"))
    let log = try keeper.finish(keeper.assignment(1, spec, references: configMap(["q": "?\n"]))).1
    #expect(log == "?\nsame\n")
    #expect(!Files.exists("/etc/stint-test"))
    #expect(!Files.exists("/etc/stint-file"))
  }

  @Test("mounts may lie inside each other, and subPaths that a volume lacks are made in it")
  func nested() throws {
    let keeper = try TestKeeper()
    let mounts: JSON = [
      ["name": "c", "mountPath": "/work/in/config"], ["name": "e", "mountPath": "/work", "subPath": "a/b"],
      ["name": "c", "mountPath": "/work/one", "subPath": "q"],
    ]
    let spec = pod(
      shell(
        "main", "cat /work/in/config/q /work/one; touch /work/mine; ls /all/a/b",
        mounts: .array((mounts.arrayValue ?? []) + [["name": "e", "mountPath": "/all"]])),
      volumes: [["name": "c", "configMap": ["name": "quiz"]], ["name": "e", "emptyDir": [:]]])
    let log = try keeper.finish(keeper.assignment(1, spec, references: configMap(["q": "?\n"]))).1
    #expect(log == "?\n?\nin\nmine\none\n")
    #expect(!Files.exists("/work/in"))
  }

  @Test("a ConfigMap's volume refuses writes though its mount does not say readOnly, an emptyDir takes them")
  func configMapRefusesWrites() throws {
    let keeper = try TestKeeper()
    let spec = pod(
      shell(
        "main", "echo x 2>&1 > /mnt/c/q; cat /mnt/c/q; touch /mnt/e/f && ls /mnt/e",
        mounts: [["name": "c", "mountPath": "/mnt/c"], ["name": "e", "mountPath": "/mnt/e"]]),
      volumes: [["name": "c", "configMap": ["name": "quiz"]], ["name": "e", "emptyDir": [:]]])
    let log = try keeper.finish(keeper.assignment(1, spec, references: configMap(["q": "?\n"]))).1
    #expect(log.contains("Read-only file system"))
    #expect(log.hasSuffix("?\nf\n"))
  }

  @Test("a mount point inside a volume is never made through a link that a container planted")
  func plantedLink() throws {
    let keeper = try TestKeeper()
    let target = "\(keeper.scratch.path)/target"
    try Files.makeDirectory(target)
    let plant = shell("plant", "ln -s \(target) /mnt/in", mounts: [["name": "e", "mountPath": "/mnt"]])
    let mounts: JSON = [["name": "e", "mountPath": "/mnt"], ["name": "c", "mountPath": "/mnt/in/deep"]]
    let spec = pod(
      shell("main", "true", mounts: mounts),
      volumes: [["name": "c", "configMap": ["name": "quiz"]], ["name": "e", "emptyDir": [:]]], initContainers: [plant])
    let status = try keeper.finish(keeper.assignment(1, spec, references: configMap(["q": "?"]))).0
    #expect(termination(status)?.reason == "StartError")
    #expect(try Files.list(target) == [])
  }

  @Test("ConfigMap items choose files, paths and modes; a missing key is an error unless it is optional")
  func items() throws {
    let keeper = try TestKeeper()
    func spec(_ key: String, optional: Bool) -> JSON {
      pod(
        shell(
          "main", "cd /srv; find . -type f -printf '%P %m\\n' | sort", mounts: [["name": "c", "mountPath": "/srv"]]),
        volumes: [
          [
            "name": "c",
            "configMap": [
              "name": "quiz", "defaultMode": 0o640, "optional": .bool(optional),
              "items": [["key": "a", "path": "deep/er/a", "mode": 0o400], ["key": .string(key), "path": "b"]],
            ],
          ]
        ])
    }
    let references = configMap(["a": "1", "b": "2", "c": "3"])
    let (_, log) = try keeper.finish(keeper.assignment(1, spec("b", optional: false), references: references))
    #expect(log == "b 640\ndeep/er/a 400\n")
    let missing = "MountVolume.SetUp failed for volume \"c\" : configmap references non-existent config key: x"
    #expect(throws: VolumeError(reason: "ContainerCreating", message: missing, retryable: true)) {
      try keeper.start(keeper.assignment(2, spec("x", optional: false), references: references))
    }
    let rest = try keeper.finish(keeper.assignment(3, spec("x", optional: true), references: references)).1
    #expect(rest == "deep/er/a 400\n")
    #expect(throws: VolumeError.self) { try keeper.start(keeper.assignment(4, spec("b", optional: false))) }
  }

  @Test("an emptyDir is shared by the pod's containers, and by nobody else")
  func shared() throws {
    let keeper = try TestKeeper()
    let mounts: JSON = [["name": "e", "mountPath": "/mnt"]]
    let wait = "while [ ! -e /mnt/word ]; do sleep 0.01; done; cat /mnt/word"
    let spec: JSON = [
      "restartPolicy": "Never", "volumes": [["name": "e", "emptyDir": [:]]],
      "containers": [shell("main", wait, mounts: mounts), shell("other", "echo hello >/mnt/word", mounts: mounts)],
    ]
    let (status, log) = try keeper.finish(keeper.assignment(1, spec))
    #expect(status?.phase == .succeeded)
    #expect(log == "hello\n")
    #expect(!Files.exists("/mnt/word"))
  }

  @Test(
    "hostPath types are checked in Kubernetes' words",
    arguments: [
      ("", "/no/such", "hostPath /no/such does not exist"), ("", "/etc", nil),
      ("Directory", "/etc/passwd", "hostPath type check failed: /etc/passwd is not a directory"),
      ("Directory", "/etc", nil), ("DirectoryOrCreate", "SCRATCH/made/deep", nil),
      ("DirectoryOrCreate", "/etc/passwd", "hostPath type check failed: /etc/passwd is not a directory"),
      ("File", "/etc", "hostPath type check failed: /etc is not a file"), ("File", "/etc/passwd", nil),
      ("FileOrCreate", "SCRATCH/file", nil),
      ("Socket", "/etc/passwd", "hostPath type check failed: /etc/passwd is not a socket file"),
      ("CharDevice", "/dev/null", nil),
      ("BlockDevice", "/dev/null", "hostPath type check failed: /dev/null is not a block device"),
    ] as [(String, String, String?)])
  func hostPath(type: String, path: String, message: String?) throws {
    let scratch = try Scratch()
    let full = path.hasPrefix("SCRATCH") ? scratch.path + path.dropFirst(7) : path
    let spec = pod(
      shell("main", "true"), volumes: [["name": "h", "hostPath": ["path": .string(full), "type": .string(type)]]])
    let assignment = Assignment(
      attempt: 1, keeper: "", session: "", namespace: "", podName: "", podUID: "", labels: [:], annotations: [:],
      spec: PodSpec(json: spec), references: JSONObject(), tolerationMilliseconds: nil)
    do throws(VolumeError) {
      let paths = NodePaths(data: scratch.path)
      let volumes = try Volumes.make(assignment, paths: paths, place: testPlace(assignment, paths))
      #expect(message == nil)
      #expect(volumes == ["h": full])
      #expect(Files.exists(full))
    } catch {
      #expect(error.message == "MountVolume.SetUp failed for volume \"h\" : \(message ?? "nothing")")
    }
  }

  // MARK: - Without root

  @Test("a keeper without root runs pods through bubblewrap, with /questions.json, and freezes and kills them")
  func rootless() throws {
    let keeper = try TestKeeper(KeeperSetting(asNobody: true))
    guard keeper.fencesFully else {
      // Only where bubblewrap itself cannot.
      let plain = ["/usr/bin/bwrap", "--unshare-user", "--unshare-pid", "--dev-bind", "/", "/", "/bin/true"]
      #expect(try !run((isRoot ? nobody : []) + plain))
      return
    }
    let mounts: JSON = [["name": "c", "mountPath": "/questions.json", "subPath": "questions.json"]]
    let spec = pod(
      shell("main", "cat /questions.json; id -u", mounts: mounts),
      volumes: [["name": "c", "configMap": ["name": "quiz"]]])
    let (status, log) = try keeper.finish(keeper.assignment(1, spec, references: configMap(["questions.json": "[]\n"])))
    #expect(status?.phase == .succeeded, "\(status.debugDescription)")
    #expect(log == "[]\n65534\n")
    #expect(!Files.exists("/questions.json"))
    let loop = pod(shell("main", "while :; do : \(keeper.scratch.path)/x; sleep 0.02; done"))
    try keeper.start(keeper.assignment(2, loop, tolerationMilliseconds: 300), leaseMilliseconds: 1500)
    #expect(keeper.wait { keeper.reports[2]?.frozen == true })
    keeper.send(.stop(2, graceMilliseconds: 0))
    #expect(keeper.waitForEnd(2)?.phase == .failed)
    #expect(eventually { processes(with: "\(keeper.scratch.path)/x").isEmpty })
  }
}
