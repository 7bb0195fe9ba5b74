-- Written by hand: Prisma knows no materialised views and no triggers.
CREATE MATERIALIZED VIEW "GoalProgress" AS
SELECT "goalId", avg("progress")::numeric(5, 2) AS "averageProgress" FROM "SubGoal" GROUP BY "goalId"
WITH NO DATA;
CREATE UNIQUE INDEX "GoalProgress_goalId_key" ON "GoalProgress"("goalId");

CREATE FUNCTION "touchUpdatedAt"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW."updatedAt" := CURRENT_TIMESTAMP;
    RETURN NEW;
END $$;
CREATE TRIGGER "SubGoal_updatedAt" BEFORE UPDATE ON "SubGoal" FOR EACH ROW EXECUTE FUNCTION "touchUpdatedAt"();
