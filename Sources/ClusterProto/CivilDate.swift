// Dates of the Gregorian calendar by arithmetic. It must not know clocks, zones or texts.

/// A day of the calendar, and its number since 1970-01-01.
package enum CivilDate {
  /// Days since 1970 of a date. A day or month beyond its end counts on into the next.
  package static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let years = year + floorDivide(month - 1, 12)
    let month = month - floorDivide(month - 1, 12) * 12
    let shifted = month <= 2 ? years - 1 : years
    let era = floorDivide(shifted, 400)
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// The date of a day's number: Howard Hinnant's civil-from-days.
  package static func date(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = days + 719_468
    let era = floorDivide(shifted, 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthIndex = (5 * dayOfYear + 2) / 153
    let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthIndex + 2) / 5 + 1)
  }

  /// 28 to 31.
  package static func daysInMonth(year: Int64, month: Int64) -> Int64 {
    days(year: year, month: month + 1, day: 1) - days(year: year, month: month, day: 1)
  }

  /// 0 is Sunday.
  package static func weekday(days: Int64) -> Int64 { days + 4 - floorDivide(days + 4, 7) * 7 }

  /// The quotient rounded down.
  package static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    let quotient = value / divisor
    return value % divisor < 0 ? quotient - 1 : quotient
  }
}
