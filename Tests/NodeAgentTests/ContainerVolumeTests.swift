// Owns: tests of the volumes and the working directory that a container sees, on a real keeper.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

@Suite(.enabled(if: isRoot, "needs root")) struct ContainerVolumeTests {
  private func termination(_ status: PodStatus?) -> ContainerState.Termination? {
    status?.containers.first?.state.termination
  }

  private func configMap(_ data: JSON) -> JSONObject { JSONObject(entries: [("configmaps/quiz", ["data": data])]) }

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

  @Test("a ConfigMap of a mebibyte in a hundred volumes ends at what a pod's volumes may hold, and says so")
  func manyVolumes() throws {
    let scratch = try Scratch()
    let paths = NodePaths(data: scratch.path)
    let sources = [JSON](repeating: ["configMap": ["name": "quiz"]], count: 100)
    let spec = pod(shell("main", "true"), volumes: [["name": "v", "projected": ["sources": .array(sources)]]])
    let assignment = Assignment(
      attempt: 1, keeper: "k", session: "s", namespace: "default", podName: "p", podUID: "u", labels: [:],
      annotations: [:], spec: PodSpec(json: spec),
      references: configMap(["a": .string(String(repeating: "x", count: 1 << 20))]), tolerationMilliseconds: nil)
    let error = #expect(throws: VolumeError.self) {
      _ = try Volumes.make(assignment, paths: paths, place: testPlace(assignment, paths))
    }
    #expect(error?.message.contains("hold more than 67108864 bytes together") == true)
  }

  @Test("FileOrCreate leaves a symbolic link to nothing as it is, and says so")
  func danglingLink() throws {
    let scratch = try Scratch()
    let paths = NodePaths(data: scratch.path + "/data")
    let link = scratch.path + "/link"
    #expect(symlink("/nonexistent/file", link) == 0)
    let spec = pod(
      shell("main", "true"), volumes: [["name": "h", "hostPath": ["path": .string(link), "type": "FileOrCreate"]]])
    let assignment = Assignment(
      attempt: 1, keeper: "k", session: "s", namespace: "default", podName: "p", podUID: "u", labels: [:],
      annotations: [:], spec: PodSpec(json: spec), references: [:], tolerationMilliseconds: nil)
    #expect(throws: VolumeError.self) {
      _ = try Volumes.make(assignment, paths: paths, place: testPlace(assignment, paths))
    }
    #expect(((try? Files.status(link, followLinks: false))?.mode ?? 0) & UInt32(S_IFMT) == UInt32(S_IFLNK))
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

  @Test("an emptyDir of the medium Memory is in memory, all containers have it, and its limit ends what it takes")
  func memory() throws {
    let keeper = try TestKeeper()
    defer { MemoryVolumes.unmount(below: keeper.paths.pod(1)) }
    let mounts: JSON = [["name": "m", "mountPath": "/m"]]
    let script = "stat -f -c %T /m; cat /m/word; stat -c %a /m; head -c 3000000 /dev/zero >/m/big; wc -c </m/big"
    let spec = pod(
      shell("main", script, mounts: mounts),
      volumes: [["name": "m", "emptyDir": ["medium": "Memory", "sizeLimit": "1Mi"]]],
      initContainers: [shell("first", "echo word >/m/word", mounts: mounts)])
    let assignment = keeper.assignment(1, spec)
    let log = try keeper.finish(assignment).1
    #expect(log.hasPrefix("tmpfs\nword\n777\n"), "\(log)")
    #expect(log.contains("No space left on device"), "\(log)")
    let left = Int(log.split(separator: "\n").last ?? "") ?? 0
    #expect(left > 900_000 && left <= 1 << 20)
    // A second try of the agent's finds it there.
    _ = try Volumes.make(assignment, paths: keeper.paths, place: testPlace(assignment, keeper.paths))
    func mounted() -> Int {
      text("/proc/self/mountinfo").split(separator: "\n").count { $0.contains(keeper.paths.pod(1)) }
    }
    #expect(mounted() == 1)
    MemoryVolumes.unmount(below: keeper.paths.pod(1))
    #expect(mounted() == 0)
    try Files.removeTree(keeper.paths.pod(1))
  }

  @Test("a pod that keeps more in an emptyDir than it may is evicted, one that does not goes on")
  func eviction() throws {
    let keeper = try TestKeeper()
    let mounts: JSON = [["name": "v", "mountPath": "/v"]]
    for (attempt, bytes) in [(1, 3_000_000), (2, 1_000)] as [(AttemptNumber, Int)] {
      let spec = pod(
        shell("main", "head -c \(bytes) /dev/zero >/v/big; exec sleep 25", mounts: mounts),
        volumes: [["name": "v", "emptyDir": ["sizeLimit": "1Mi"]]])
      try keeper.start(keeper.assignment(attempt, spec))
    }
    let status = try #require(keeper.waitForEnd(1))
    #expect(status.phase == .failed && status.reason == "Evicted")
    #expect(status.message == "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ")
    #expect(keeper.waitForEnd(2, seconds: 40)?.phase == .succeeded)
  }

  @Test("a pod of an agent without root hides nothing from its limit by closing its directories")
  func hidden() throws {
    let keeper = try TestKeeper(KeeperSetting(asNobody: true))
    let script = "mkdir /v/a && head -c 3000000 /dev/zero >/v/a/big; chmod 0 /v/a; exec sleep 60"
    let spec = pod(
      shell("main", script, mounts: [["name": "v", "mountPath": "/v"]]),
      volumes: [["name": "v", "emptyDir": ["sizeLimit": "1Mi"]]])
    try keeper.start(keeper.assignment(1, spec))
    #expect(keeper.waitForEnd(1, seconds: 30)?.reason == "Evicted")
  }

  @Test("a volume in memory is as large as its limit, the pod's containers or the node allow")
  func memorySizes() {
    func size(_ limits: [String?], _ limit: Int64?) -> Int64 {
      let containers = limits.map { limit in
        var container = shell("c", "true")
        if let limit { container["resources"] = ["limits": ["memory": .string(limit)]] }
        return container
      }
      let spec = PodSpec(json: ["containers": .array(containers)])
      return MemoryVolumes.size(
        limit: limit, of: spec, capacity: NodeCapacity(cpuMillicores: 1, memoryBytes: 1 << 30, pods: 1))
    }
    #expect(size([nil], nil) == 1 << 30)
    #expect(size([nil], 1 << 20) == 1 << 20 && size([nil], 1 << 40) == 1 << 30)
    #expect(size(["1Mi", "2Mi"], nil) == 3 << 20 && size(["1Mi", nil], nil) == 1 << 30)
    #expect(size(["8Ei", "8Ei"], nil) == 1 << 30)
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

  @Test(
    "a hostPath is the host's directory, whatever is mounted or made above it: what a pod writes there is not lost",
    arguments: ["HOST/none", "HOST", "HOST/b"])
  func sourceBelowCover(path: String) throws {
    let keeper = try TestKeeper()
    let host = keeper.scratch.path + "/host"
    for name in ["a/deep", "b/deep"] { try Files.makeDirectory("\(host)/\(name)") }
    let mounts: JSON = [
      ["name": "a", "mountPath": .string(path.replacing("HOST", with: host))],
      ["name": "deep", "mountPath": .string("\(host)/nowhere"), "subPath": "deep"],
      ["name": "c", "mountPath": .string("\(host)/c")],
    ]
    let script = "echo a >\(path.replacing("HOST", with: host))/word; echo b >\(host)/nowhere/word"
    let spec = pod(
      shell("main", script, mounts: mounts),
      volumes: [
        ["name": "a", "hostPath": ["path": .string("\(host)/a")]],
        ["name": "deep", "hostPath": ["path": .string("\(host)/b")]], ["name": "c", "configMap": ["name": "quiz"]],
      ])
    let (status, log) = try keeper.finish(keeper.assignment(1, spec, references: configMap(["c": "d"])))
    #expect(status?.phase == .succeeded, "\(log)")
    #expect(try String(decoding: Files.read("\(host)/a/word"), as: UTF8.self) == "a\n")
    #expect(try String(decoding: Files.read("\(host)/b/deep/word"), as: UTF8.self) == "b\n")
    #expect(!Files.exists("\(host)/none") && !Files.exists("\(host)/nowhere") && !Files.exists("\(host)/b/word"))
  }

  @Test("a working directory or a mount point that is missing hides no volume beside it, nor what the host has there")
  func nothingHidden() throws {
    let keeper = try TestKeeper()
    let host = keeper.scratch.path + "/host"
    for name in ["a", "b", "c/deep"] { try Files.makeDirectory("\(host)/\(name)") }
    try Files.writeAtomically("\(host)/c/deep/there", Array("there\n".utf8))
    let mounts: JSON = [
      ["name": "c", "mountPath": .string("\(host)/c/deep/none/x")], ["name": "h", "mountPath": .string("\(host)/b")],
      ["name": "c", "mountPath": .string("\(host)/c/none")],
    ]
    let script = "echo b >\(host)/b/word; cat \(host)/c/deep/there \(host)/c/deep/none/x/q \(host)/c/none/q; pwd"
    let spec = pod(
      shell("main", script, mounts: mounts, more: ["workingDir": .string("\(host)/work")]),
      volumes: [
        ["name": "h", "hostPath": ["path": .string("\(host)/a")]], ["name": "c", "configMap": ["name": "quiz"]],
      ])
    let log = try keeper.finish(keeper.assignment(1, spec, references: configMap(["q": "?\n"]))).1
    #expect(log == "there\n?\n?\n\(host)/work\n")
    #expect(try Files.list("\(host)/a") == ["word"])
    #expect(try Files.list(host).sorted() == ["a", "b", "c"] && Files.list("\(host)/c") == ["deep"])
  }

  @Test("a mount point that a hostPath lacks is made in it, as Kubernetes does, and what a pod writes there stays")
  func pointInHostPath() throws {
    let keeper = try TestKeeper()
    let host = keeper.scratch.path + "/host"
    try Files.makeDirectory("\(host)/in")
    let mounts: JSON = [
      ["name": "h", "mountPath": "/mnt"], ["name": "c", "mountPath": "/mnt/in/none"],
      ["name": "c", "mountPath": "/mnt/file", "subPath": "q"],
    ]
    let spec = pod(
      shell("main", "cat /mnt/in/none/q /mnt/file; echo w >/mnt/word; echo w >/mnt/in/word", mounts: mounts),
      volumes: [["name": "h", "hostPath": ["path": .string(host)]], ["name": "c", "configMap": ["name": "quiz"]]])
    let log = try keeper.finish(keeper.assignment(1, spec, references: configMap(["q": "?\n"]))).1
    #expect(log == "?\n?\n")
    #expect(try Files.list(host).sorted() == ["file", "in", "word"])
    #expect(try Files.list("\(host)/in").sorted() == ["none", "word"])
  }

  @Test("a read-only volume stays read-only with another in it: a hostPath gets no mount point made, a ConfigMap does")
  func readOnlyOuter() throws {
    let keeper = try TestKeeper()
    let host = keeper.scratch.path + "/host"
    try Files.makeDirectory("\(host)/there")
    func volumes(_ outer: JSON) -> JSON { [outer, ["name": "e", "emptyDir": [:]]] }
    let script = "echo x >/mnt/lost; rm -f /mnt/q; echo e >/mnt/there/e; cat /mnt/there/e; ls /mnt"
    func run(_ attempt: AttemptNumber, _ outer: JSON, at inner: String) throws -> (PodStatus?, String) {
      let mounts: JSON = [
        ["name": "o", "mountPath": "/mnt", "readOnly": true], ["name": "e", "mountPath": .string("/mnt/\(inner)")],
      ]
      let spec = pod(shell("main", script, mounts: mounts), volumes: volumes(outer))
      return try keeper.finish(keeper.assignment(attempt, spec, references: configMap(["q": "?"])))
    }
    let hostPath: JSON = ["name": "o", "hostPath": ["path": .string(host)]]
    #expect(try run(1, hostPath, at: "there").1.hasSuffix("e\nthere\n"))
    let refused = try run(2, hostPath, at: "none").0
    #expect(refused?.phase == .failed)
    #expect(termination(refused)?.message.contains("/mnt/none") == true, "\(String(describing: termination(refused)))")
    let log = try run(3, ["name": "o", "configMap": ["name": "quiz"]], at: "there").1
    #expect(log.hasSuffix("e\nq\nthere\n") && log.contains("Read-only file system"), "\(log)")
    #expect(try Files.list(host) == ["there"] && Files.list("\(host)/there").isEmpty)
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

  @Test("a subPath that a volume lacks is made with the volume's mode, in an emptyDir and on the host")
  func subPathModes() throws {
    let keeper = try TestKeeper()
    let host = "\(keeper.scratch.path)/host"
    try Files.makeDirectory(host)
    chmod(host, 0o2751)
    let mounts: JSON = [
      ["name": "e", "mountPath": "/mnt/e", "subPath": "a/b"], ["name": "h", "mountPath": "/mnt/h", "subPath": "c/d"],
      ["name": "e", "mountPath": "/mnt/all"],
    ]
    let spec = pod(
      shell("main", "stat -c %a /mnt/e /mnt/all/a /mnt/h; touch /mnt/h/f", mounts: mounts),
      volumes: [["name": "e", "emptyDir": [:]], ["name": "h", "hostPath": ["path": .string(host)]]])
    let log = try keeper.finish(keeper.assignment(1, spec)).1
    #expect(log == "777\n777\n2751\n")
    #expect(try Files.list("\(host)/c/d") == ["f"])
    #expect(try Files.status("\(host)/c").mode & 0o7777 == 0o2751)
  }

  @Test("a working directory that is not there is made inside: at the root, deep, and in volumes; the host has none")
  func workingDirectory() throws {
    let keeper = try TestKeeper()
    let host = "\(keeper.scratch.path)/host"
    try Files.makeDirectory(host)
    let volumes: JSON = [["name": "e", "emptyDir": [:]], ["name": "h", "hostPath": ["path": .string(host)]]]
    let mounts: JSON = [["name": "e", "mountPath": "/mnt"], ["name": "h", "mountPath": "/srv"]]
    var attempt: AttemptNumber = 0
    for (directory, mounted) in [
      ("/stint-none", false), ("/stint-none/deep", true), ("/usr/share/stint-none/x", false),
      ("/usr/share/stint-none/x", true), ("/mnt/new/dir", true), ("/srv/new", true), ("/mnt", true),
    ] {
      attempt += 1
      let main = shell(
        "main", "pwd; touch here && ls", mounts: mounted ? mounts : [], more: ["workingDir": .string(directory)])
      let log = try keeper.finish(keeper.assignment(attempt, pod(main, volumes: mounted ? volumes : []))).1
      #expect(log == "\(directory)\nhere\n")
    }
    #expect(try Files.list(host) == ["new"])
    #expect(try Files.list("\(host)/new") == ["here"])
    #expect(!Files.exists("/stint-none") && !Files.exists("/usr/share/stint-none"))
  }

  @Test(
    "a volume over the root or inside /proc keeps the pod waiting, and says why",
    arguments: ["/", "//.", "/proc", "/proc/x"])
  func impossibleMounts(path: String) throws {
    let keeper = try TestKeeper()
    let spec = pod(
      shell("main", "true", mounts: [["name": "e", "mountPath": .string(path)]]),
      volumes: [["name": "e", "emptyDir": [:]]])
    let error = #expect(throws: PlanningError.self) { try keeper.start(keeper.assignment(1, spec)) }
    #expect(error?.reason == "CreateContainerConfigError")
    #expect(error?.message.hasPrefix("cannot mount volume \"e\" on \"\(path == "//." ? "/" : path)\": it is ") == true)
  }
}
