// CronJobs: what the API does for them alone. Cells, defaults, validation. It must not know what becomes of a CronJob.

import ClusterProto

extension KindDescriptor {
  static let cronJobs = KindDescriptor(
    served: ServedRules(subresources: [.status], isInAll: true),
    table: TableRules(columns: cronJobColumns) { object, now in
      guard case .other(let cron) = object else { return [] }
      return [.string(cron.meta.name)] + cells(cron, now, .string(Tables.age(cron.meta.creationTimestamp, now)))
    },
    writes: WriteRules(
      skeleton: [
        "metadata": [:],
        "spec": [
          "jobTemplate": [
            "metadata": [:], "spec": ["template": ["metadata": [:], "spec": ["containers": .null]]],
          ]
        ], "status": [:],
      ],
      defaults: defaults,
      settle: { json, before, _, _ in json["status"] = before.json["status"] },
      validateNew: { json, errors in
        CronJobValidation.spec(json["spec"] ?? .null, before: nil, into: &errors)
        JobAnnotationRules.cronJob(json, into: &errors)
        let name = json[path: ["metadata", "name"]]?.stringValue ?? ""
        if name.utf8.count > 52 {
          errors.invalid("metadata.name", name, "must be no more than 52 characters")
        }
      },
      validateUpdate: { json, before, errors in
        CronJobValidation.spec(json["spec"] ?? .null, before: before.json["spec"], into: &errors)
        JobAnnotationRules.cronJob(json, into: &errors)
      },
      validateWith: { json, before, configuration, errors in
        let zone = json[path: ["spec", "timeZone"]]?.stringValue
        guard let zone, zone != before?.json[path: ["spec", "timeZone"]]?.stringValue else { return }
        var found = FieldErrors()
        CronJobValidation.zone(zone, configuration.zones, into: &found)
        errors.insert(found, before: CronJobValidation.behindZone)
      },
      honesty: { honesty, tree, final in
        honesty.jobTemplate(final)
        honesty.jobAnnotations(final[path: ["spec", "jobTemplate"]] ?? .null, "spec.jobTemplate.")
        let path = ["spec", "jobTemplate", "spec", "template", "spec"]
        honesty.podSpec(tree.json[path: path] ?? .null, path.joined(separator: "."))
        honesty.unlimitedToleration(final[path: path] ?? .null, path.joined(separator: "."))
      },
      raisesGeneration: { before, after in before.json["spec"] != after.json["spec"] }),
    status: StatusRules { json, before throws(APIFailure) in
      guard case .other(var cron) = before else { return before }
      cron.body["status"] = json ?? .object(JSONObject())
      return .other(cron)
    })

  private static let cronJobColumns: [TableColumn] = [
    .name, TableColumn("Schedule", "The schedule in Cron format, see https://en.wikipedia.org/wiki/Cron."),
    TableColumn("Timezone", "The time zone of the schedule; <none> is the coordinator's own."),
    TableColumn("Suspend", "Whether it makes no runs.", type: "boolean"),
    TableColumn("Active", "Jobs that run.", type: "integer"),
    TableColumn("Last Schedule", "Since the due time of the last run."), .age,
    TableColumn("Containers", "Names of each container in the template.", isWide: true),
    TableColumn("Images", "Images referenced by each container in the template.", isWide: true),
    TableColumn("Selector", "Always <none>: each Job makes its own.", isWide: true),
  ]

  private static func cells(_ cron: GenericObject, _ now: WallTime, _ age: JSON) -> [JSON] {
    let spec = cron.body["spec"]
    let status = cron.body["status"]
    let last = status?["lastScheduleTime"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
    let containers = spec?[path: ["jobTemplate", "spec", "template", "spec", "containers"]]?.arrayValue ?? []
    func texts(_ member: String) -> JSON {
      .string(containers.map { $0[member]?.stringValue ?? "" }.joined(separator: ","))
    }
    return [
      spec?["schedule"] ?? "", Tables.orNone(spec?["timeZone"]?.stringValue),
      spec?["suspend"]?.boolValue.map { $0 ? "True" : "False" } ?? "<unset>",
      .int(Int64(status?["active"]?.arrayValue?.count ?? 0)),
      last.map { .string(Tables.age($0, now)) } ?? "<none>", age, texts("name"), texts("image"), "<none>",
    ]
  }

  private static func defaults(_ json: inout JSON) {
    if json["spec"] == nil { json["spec"] = .object(JSONObject()) }
    Defaults.within(&json, "spec") { spec in
      Defaults.set(&spec, "concurrencyPolicy", "Allow")
      Defaults.set(&spec, "suspend", false)
      Defaults.set(&spec, "successfulJobsHistoryLimit", 3)
      Defaults.set(&spec, "failedJobsHistoryLimit", 1)
      // A Job's own defaults come with the Job.
      for path in [["jobTemplate"], ["jobTemplate", "metadata"], ["jobTemplate", "spec"]]
      where spec[path: path] == nil {
        spec[path: path] = .object(JSONObject())
      }
      let template = ["jobTemplate", "spec", "template"]
      for path in [template, template + ["metadata"], template + ["spec"]] where spec[path: path] == nil {
        spec[path: path] = .object(JSONObject())
      }
      if var pod = spec[path: template + ["spec"]], pod.objectValue != nil {
        Defaults.podSpec(&pod)
        spec[path: template + ["spec"]] = pod
      }
    }
  }
}

/// ValidateCronJob's rules.
enum CronJobValidation {
  static func spec(_ spec: JSON, before: JSON?, into errors: inout FieldErrors) {
    let schedule = spec["schedule"]?.stringValue ?? ""
    if schedule.isEmpty {
      errors.required("spec.schedule")
    } else {
      Self.schedule(schedule, spec, before, into: &errors)
    }
    notNegative(spec, "startingDeadlineSeconds", into: &errors)
    let policy = spec["concurrencyPolicy"]?.stringValue ?? ""
    if policy.isEmpty {
      errors.required("spec.concurrencyPolicy")
    } else if !["Allow", "Forbid", "Replace"].contains(policy) {
      errors.unsupported("spec.concurrencyPolicy", policy, ["Allow", "Forbid", "Replace"])
    }
    jobTemplate(spec[path: ["jobTemplate", "spec"]] ?? .object(JSONObject()), into: &errors)
    notNegative(spec, "successfulJobsHistoryLimit", into: &errors)
    notNegative(spec, "failedJobsHistoryLimit", into: &errors)
  }

  private static func schedule(_ text: String, _ spec: JSON, _ before: JSON?, into errors: inout FieldErrors) {
    let isZoned = text.contains("TZ")
    do throws(CronError) {
      // Behind a zone of its own the schedule is read as any other; the zone is refused below.
      let hasPrefix = text.hasPrefix("TZ=") || text.hasPrefix("CRON_TZ=")
      let rest = hasPrefix ? text.drop { $0 != " " }.drop { $0 == " " } : text[...]
      _ = try CronSchedule(parsing: String(rest))
    } catch {
      errors.invalid("spec.schedule", text, error.message)
    }
    guard isZoned else { return }
    if before?["schedule"]?.stringValue?.contains("TZ") != true {
      errors.invalid(
        "spec.schedule", text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    } else if spec["timeZone"] != nil {
      errors.invalid("spec.schedule", text, "cannot use both timeZone field and TZ or CRON_TZ in schedule")
    }
  }

  private static func notNegative(_ spec: JSON, _ name: String, into errors: inout FieldErrors) {
    guard let number = spec[name]?.intValue, number < 0 else { return }
    errors.invalid("spec.\(name)", .int(number), JobValidation.notNegative)
  }

  /// Fields that are looked at after the zone.
  static let behindZone = [
    "spec.concurrencyPolicy", "spec.jobTemplate", "spec.successfulJobsHistoryLimit", "spec.failedJobsHistoryLimit",
    "metadata.name",
  ]

  static func zone(_ name: String, _ zones: ZoneDatabase, into errors: inout FieldErrors) {
    let path = "spec.timeZone"
    if name.isEmpty { return errors.invalid(path, name, "timeZone must be nil or non-empty string") }
    for part in name.split(separator: "/", omittingEmptySubsequences: false) {
      let isName =
        (1...14).contains(part.utf8.count) && part != "." && part != ".." && !part.hasPrefix("-")
        && part.utf8.allSatisfy {
          (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || [43, 45, 46, 95].contains($0)
        }
      if !isName { return errors.invalid(path, name, "unknown time zone \(name)") }
    }
    if name.lowercased() == "local" {
      errors.invalid(
        path, name, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")
    }
    // To Go "Local" is a zone.
    if name != "Local", zones.table(name) == nil { errors.invalid(path, name, "unknown time zone \(name)") }
  }

  /// The rules of a Job's spec, as it will be when it is created, told of the template's fields.
  private static func jobTemplate(_ given: JSON, into errors: inout FieldErrors) {
    let path = "spec.jobTemplate.spec"
    var spec = given
    Defaults.job(&spec)
    spec["selector"] = .object(JSONObject())
    spec["manualSelector"] = false
    var validation = JobValidation()
    validation.spec(spec)
    errors.append(validation.errors.moved(from: "spec", to: path))
    if let selector = given["selector"] {
      errors.invalid("\(path).selector", selector, "`selector` will be auto-generated")
    }
    if given["manualSelector"]?.boolValue == true {
      errors.unsupported("\(path).manualSelector", shown: "true", ["nil", "false"])
    }
  }
}
