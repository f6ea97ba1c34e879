-- The devices to look at first: highest risk, and the factor that weighs most
SELECT device_id, site, type, model, location, score, tier, cause,
    arraySort(f -> -f.share, factors)[1].name AS main_factor,
    arraySort(f -> -f.share, factors)[1].why AS why
FROM v_risk
ORDER BY score DESC, device_id
LIMIT 20
